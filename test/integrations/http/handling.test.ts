import { currentScope } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { start } from './server.ts';

describe('the scope of a request', () => {
  it('is the scope of those who listen to its signal, whoever cancels it', async () => {
    const seen: string[] = [];
    const { scope, url, told } = await start(
      (_, response) => {
        currentScope().signal.addEventListener('abort', () => {
          seen.push(currentScope().name);
          response.end();
        });
      },
      { timeoutMs: 30 },
    );
    await fetch(url);
    await until(() => scope.tree().children.length === 0);
    expect([seen, told]).toMatchObject([['GET /'], [{ code: 'ERR_REQUEST_TIMEOUT' }]]);
  });
});
