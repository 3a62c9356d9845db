import { describe, expect, it } from 'vitest';
import { createSubscriber } from '../../src/pubsub/index.ts';
import { withRoot } from '../../src/index.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const redis = useRedis();

describe('smoke', () => {
  it('gets messages', async () => {
    await withRoot(async () => {
      const sub = createSubscriber('a', { url: redis().url, channels: ['x'], service: 'smoke' });
      const got: string[] = [];
      sub.on('message', (m) => void got.push(m.message));
      await sub.synced();
      await redis().observer.publish('x', '1');
      await until(() => got.length === 1);
      for (let i = 0; i < 3; i++) {
        const { epoch } = sub;
        sub.on('gap', (gap) => console.error(gap));
        sub.refresh();
        await until(() => sub.epoch > epoch);
      }
      await redis().observer.publish('x', '2');
      await until(() => got.length === 2);
      console.error("N", (await redis().clients('sp:smoke')).length);
    });
    expect((await redis().clients("sp:smoke")).map(({id,name,sub,age})=>({id,name,sub,age}))).toEqual([]);
  });
});
