import { describe, expect, it } from 'vitest';
import { withRoot, withScope } from '../../src/index.ts';
import { type ProcessInspection, scopesText } from '../../src/inspect/index.ts';
import { read } from '../docs/markdown.ts';
import { poolOf, Server } from '../pool/support.ts';

const stats = { max: 10, inUse: 3, idle: 2, creating: 0, pending: 1, leaked: 0 };
const none = { children: [] };
const PROCESS = {
  ...{ format: 1, version: '0.1.0', id: 'one', pid: 4711, thread: 0, script: '/srv/app.js', uptimeMs: 7_200_000 },
  openings: [
    { site: '/srv/db.ts:9:3', stack: [], server: 'cache:6379', opened: 38, grown: 10, lastMs: 7 },
    { site: '/srv/app.ts:1:1', stack: [], server: 'cache:6379', opened: 2, grown: 0, lastMs: 7 },
  ],
  leaks: [
    { pool: 'redis', scope: 'job:7', site: '/srv/mail.ts:42:7', stack: [], leaked: 27, grown: 25, lastMs: 7 },
    { pool: 'redis', scope: 'job:7', site: undefined, stack: [], leaked: 1, grown: 0, lastMs: 7 },
  ],
  roots: [
    {
      tree: {
        ...{ name: 'worker:emails', kind: 'root', state: 'open', ageMs: 125_000, more: 12 },
        children: [
          { name: 'sweep', kind: 'task', state: 'running', ageMs: 61_000, ...none },
          {
            ...{ name: 'job:42', kind: 'scope', state: 'open', ageMs: 31_900 },
            children: [
              { name: 'redis', kind: 'lease', state: 'exclusive', ageMs: 31_000, site: '/srv/mail.ts:42:7', ...none },
              { name: 'redis', kind: 'waiter', state: 'exclusive, waiting', ageMs: 2_000, ...none },
            ],
          },
        ],
      },
      pools: [
        { pool: 'redis', scope: 'worker:emails', stats, health: { state: 'up' } },
        {
          ...{ pool: 'files', scope: 'plugin' },
          stats: { ...stats, inUse: 0, idle: 0, pending: 0, creating: 1, leaked: 4 },
          health: { state: 'down', error: 'connect ECONNREFUSED' },
        },
      ],
    },
  ],
} as unknown as ProcessInspection;

describe('scopesText', () => {
  it('is a tree', () => {
    expect(scopesText(PROCESS)).toBe(`scoped-pool 0.1.0, process 4711, app.js, for 2h
root worker:emails, open, for 2m
  pool redis, up, 3 of 10 in use, 2 idle, 1 waiting
  pool files of plugin, down: connect ECONNREFUSED, 0 of 10 in use, 0 idle, 1 being made, 4 leaked
  task sweep, running, for 1m
  scope job:42, open, for 31s
    lease redis, exclusive, for 31s, at /srv/mail.ts:42:7
    waiter redis, exclusive, waiting, for 2s
  and 12 more
leaked: 27 (+25 in 10 s) of pool redis, at /srv/mail.ts:42:7
leaked: 1 of pool redis, at a line that was not sampled
without a pool: 38 opened (+10 in 10 s) to cache:6379, at /srv/db.ts:9:3
without a pool: 2 opened to cache:6379, at /srv/app.ts:1:1
`);
  });

  it('is what the guide shows', () => {
    expect(read('docs/inspect.md')).toContain(`\`\`\`\n${scopesText(PROCESS)}\`\`\``);
  });

  it('says so when there is none, and of which thread', () => {
    const text = scopesText({ ...PROCESS, thread: 3, roots: [], openings: [], leaks: [] });
    expect(text).toBe('scoped-pool 0.1.0, process 4711, thread 3, app.js, for 2h\nno scope is open\n');
  });

  it('lets nothing of a name reach a terminal but plain letters, and no credentials', () => {
    const evil = '\x1b[2J redis://ann:hunter2@host\nroot forged';
    const [{ tree, pools }] = PROCESS.roots as [ProcessInspection['roots'][0]];
    const pool = { ...pools[0], pool: evil, scope: evil, health: { state: 'down', error: evil } } as (typeof pools)[0];
    const text = scopesText({
      ...PROCESS,
      script: evil,
      roots: [{ tree: { ...tree, name: evil, site: evil }, pools: [pool] }],
      openings: PROCESS.openings.map((each) => ({ ...each, site: evil, server: evil })),
    });
    expect(text).toMatch(/^[\x20-\x7e\n]*$/);
    expect(text).not.toMatch(/hunter2|^root forged/m);
  });

  it('is by default of this process', async () => {
    const pool = poolOf(new Server());
    await withRoot(
      () =>
        withScope(async () => {
          const lease = await pool.acquire();
          const text = scopesText();
          expect(text).toMatch(/^root text-test, open, for 0s$/m);
          expect(text).toMatch(new RegExp(`^ {2}pool ${pool.name}, up, 1 of \\d+ in use, 0 idle$`, 'm'));
          expect(text).toMatch(new RegExp(`^ {4}lease ${pool.name}, exclusive, for 0s, at .*text\\.test\\.ts:\\d+:\\d+$`, 'm'));
          lease.release();
        }),
      { name: 'text-test' },
    );
  });
});
