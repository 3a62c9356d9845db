import { expect, it } from 'vitest';
import { linesOf, scrape } from './prometheus.ts';

it('The Prometheus exporter of OpenTelemetry answers with the names that Prometheus knows them by', async () => {
  const { text, pool } = await scrape();
  const own = linesOf(text).filter(({ labels }) => labels.db_client_connection_pool_name === pool);
  const said = own
    .filter(({ metric }) => !/_(?:sum|bucket)$/.test(metric))
    .map(({ metric, value, labels }) => {
      const { db_client_connection_state: state, scoped_pool_connection_close_reason: reason } = labels;
      return [(state ?? reason) ? `${metric} ${state ?? reason}` : metric, value];
    });
  expect(Object.fromEntries(said)).toEqual({
    'db_client_connection_count idle': 1,
    'db_client_connection_count used': 0,
    db_client_connection_limit: 1,
    db_client_connection_idle_min: 0,
    db_client_connection_idle_max: 1,
    db_client_connection_pending_requests: 0,
    db_client_connection_timeouts_total: 1,
    db_client_connection_create_time_count: 2,
    db_client_connection_wait_time_count: 2,
    db_client_connection_use_time_count: 2,
    scoped_pool_connection_open: 1,
    scoped_pool_connection_created_total: 2,
    scoped_pool_connection_failed_total: 1,
    'scoped_pool_connection_closed_total leaked': 1,
    scoped_pool_lease_leaked_total: 1,
    scoped_pool_lease_overdue_total: 1,
  });
  const buckets = own.filter(({ metric }) => metric === 'db_client_connection_wait_time_bucket').map(({ labels }) => labels.le);
  expect(buckets).toEqual(['0.001', '0.005', '0.01', '0.05', '0.1', '0.5', '1', '5', '10', '+Inf']);
  const scopes = linesOf(text).filter(({ metric }) => metric === 'scoped_pool_scope_active');
  expect(scopes.map(({ labels, value }) => [labels.scoped_pool_scope_kind, value])).toEqual([
    ['root', 1],
    ['scope', 0],
  ]);
});
