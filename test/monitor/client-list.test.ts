import { describe, expect, it } from 'vitest';
import { readClientList } from '../../src/monitor/client-list.ts';

/** A line as Redis 7 writes it. */
function client(fields: Readonly<Record<string, string | number>>): string {
  const all = {
    ...{ id: 1, addr: '127.0.0.1:50000', laddr: '127.0.0.1:6379', fd: 8, name: '', age: 60, idle: 0, flags: 'N', db: 0 },
    ...{ sub: 0, psub: 0, ssub: 0, multi: -1, cmd: 'get', user: 'default', redir: -1, resp: 2 },
    ...fields,
  };
  return `${Object.entries(all)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')}\n`;
}

describe('readClientList', () => {
  it('counts by name what stands in the lines', () => {
    const list = [
      client({ id: 3, name: 'app', age: 100, idle: 50, cmd: 'blpop', flags: 'b' }),
      client({ id: 4, name: 'app', age: 9, idle: 9, sub: 2, cmd: 'subscribe', flags: 'P' }),
      client({ id: 5, name: 'app', age: 1, idle: 10, psub: 1, cmd: 'psubscribe', flags: 'P' }),
      client({ id: 6, name: 'other', age: 2, idle: 1, cmd: 'client|list' }),
    ];
    const app = { connections: 3, grown: 2, fresh: 1, idle: 2, oldestS: 100, blocked: 1, subscribed: 2, lastCommand: 'subscribe' };
    const other = { connections: 1, grown: 1, fresh: 0, idle: 0, oldestS: 2, blocked: 0, subscribed: 0, lastCommand: 'client|list' };
    expect(readClientList(list.join(''), 0).names).toEqual([
      { name: 'app', ...app },
      { name: 'other', ...other },
    ]);
  });

  it('makes one row of all processes and threads of a pool, and none of other names with numbers', () => {
    const names = ['sp:shop:redis:12', 'sp:shop:redis:13.4', 'sp:shop:12', 'sp:shop:jobs:a1', 'worker:12', ''];
    const list = names.map((name) => client({ name })).join('');
    expect(readClientList(list, 0).names.map(({ name, connections }) => [name, connections])).toEqual([
      ['sp:shop:redis', 2],
      ['sp:shop', 1],
      ['sp:shop:jobs:a1', 1],
      ['worker:12', 1],
      ['(no name)', 1],
    ]);
  });

  it('says how many have arrived since an id', () => {
    const list = [7, 9, 12].map((id) => client({ id })).join('');
    expect(readClientList(list, 8)).toMatchObject({ arrived: 2, newestId: 12 });
    expect(readClientList(list, 20)).toMatchObject({ arrived: 0, newestId: 20 });
  });

  it('reads lines of servers that tell less, and passes over what is none', () => {
    const list = 'txt:\nid=5 addr=a fd=8 name=old age=3 idle=3 flags=N db=0 sub=1 psub=0 cmd=ping\n\n';
    expect(readClientList(list, 0).names).toMatchObject([{ name: 'old', connections: 1, subscribed: 1, lastCommand: 'ping' }]);
    expect(readClientList('', 3)).toEqual({ names: [], arrived: 0, newestId: 3 });
  });

  it('lets no control character and no credentials through', () => {
    const list = client({ name: '\x1b[2J\x9b31m', cmd: '\x1b]0;x\x07' }) + client({ name: 'redis://ann:hunter2@host' });
    expect(readClientList(list, 0).names).toMatchObject([{ name: '?[2J?31m', lastCommand: '?]0;x?' }, { name: 'redis://***@host' }]);
  });
});
