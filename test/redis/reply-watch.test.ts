import { describe, expect, it } from 'vitest';
import type { Redis } from '../../src/redis/ioredis.ts';
import { ReplyWatch } from '../../src/redis/reply-watch.ts';
import { until } from '../support/until.ts';

const TIMEOUT_MS = 200;

/** A connection on which replies come when the test says so. */
class Scripted {
  looks = 0;
  cut = 0;
  readonly rejected: unknown[] = [];
  readonly queue: { readonly command: object }[] = [];
  readonly watch = new ReplyWatch('scripted', this.connection, TIMEOUT_MS);

  send(name: string, ...args: unknown[]): void {
    this.queue.push({ command: { name, args, reject: (error: unknown) => this.rejected.push(error) } });
    this.watch.onSend();
  }

  get connection(): Redis {
    const commandQueue = {
      peekFront: () => {
        this.looks++;
        return this.queue[0];
      },
      toArray: () => this.queue,
    };
    return { commandQueue, disconnect() {}, stream: { destroy: () => this.cut++ } } as unknown as Redis;
  }
}

describe('ReplyWatch', () => {
  it('rejects all that is on its way when the oldest is late, and destroys the socket at once', async () => {
    const scripted = new Scripted();
    scripted.send('get', 'a');
    scripted.send('incr', 'b');
    await until(() => scripted.cut === 1);
    expect(scripted.rejected).toHaveLength(2);
    expect(scripted.rejected).toEqual(
      [0, 1].map(() => expect.objectContaining({ code: 'ERR_COMMAND_TIMEOUT', message: expect.stringContaining('GET') })),
    );
  });

  it('takes a time in which the event loop stood still for one look', async () => {
    const scripted = new Scripted();
    scripted.send('get', 'a');
    await until(() => scripted.looks >= 1);
    const end = performance.now() + 3 * TIMEOUT_MS;
    while (performance.now() < end);
    await until(() => scripted.looks >= 2);
    expect(scripted.cut).toBe(0);
    scripted.queue.shift();
    await until(() => scripted.looks >= 3);
    expect(scripted.rejected).toEqual([]);
  });

  it('begins anew with each command that becomes the oldest', async () => {
    const scripted = new Scripted();
    for (let n = 0; n < 10; n++) scripted.send('get', n);
    while (scripted.queue.length > 0) {
      const { looks } = scripted;
      await until(() => scripted.looks > looks);
      scripted.queue.shift();
    }
    expect(scripted.rejected).toEqual([]);
  });

  it('waits for ever for what may block for ever', async () => {
    const scripted = new Scripted();
    scripted.send('blpop', 'list', 0);
    await until(() => scripted.looks > 12);
    expect(scripted.cut).toBe(0);
    scripted.queue.shift();
    scripted.queue.push({ command: { name: 'get', args: [], reject: () => {} } });
    await until(() => scripted.cut === 1);
  });

  it('looks no more when nothing is on its way, until something is sent', async () => {
    const scripted = new Scripted();
    scripted.send('get', 'a');
    scripted.queue.shift();
    await until(() => scripted.looks >= 1);
    scripted.send('get', 'b');
    await until(() => scripted.cut === 1);
    expect(scripted.rejected).toHaveLength(1);
  });
});
