import { describe, expect, it } from 'vitest';
import { readArguments } from '../../src/monitor/arguments.ts';
import { errorOf } from '../redis/support.ts';

const USUAL = {
  url: 'redis://127.0.0.1:6379',
  processes: [],
  once: false,
  json: false,
  web: false,
  intervalMs: 1_000,
  expectPlateauMs: undefined,
};
const ADDRESS = 'the path of a socket, which begins with /, or a URL of this machine like http://127.0.0.1:7070/';

describe('readArguments', () => {
  it.each([
    [[], {}],
    [['redis://a:1'], { url: 'redis://a:1' }],
    [['--once', '--json'], { once: true, json: true }],
    [['--interval', '250', 'rediss://a'], { intervalMs: 250, url: 'rediss://a' }],
    [['--web'], { web: true }],
    [['--web', '--port', '0'], { web: true, port: 0 }],
    [['--port=65535', '--web', '--expect-plateau', '10'], { web: true, port: 65_535, expectPlateauMs: 10_000 }],
    [['--expect-plateau=12.5'], { expectPlateauMs: 12_500 }],
    [['--process', '/run/app.sock', '--process=http://127.0.0.1:7070'], { processes: ['/run/app.sock', 'http://127.0.0.1:7070'] }],
    [['--process', 'http://localhost:1/', '--process', 'http://[::1]:2/'], { processes: ['http://localhost:1/', 'http://[::1]:2/'] }],
    [['--interval', '5000', '--expect-plateau', '20'], { intervalMs: 5_000, expectPlateauMs: 20_000 }],
  ])('understands %j', (args, asked) => {
    expect(readArguments(args, {})).toEqual({ ...USUAL, ...asked });
  });

  it('takes the URL of REDIS_URL when there is no other', () => {
    const env = { REDIS_URL: 'redis://b:2' };
    expect(readArguments([], env)).toEqual({ ...USUAL, url: 'redis://b:2' });
    expect(readArguments(['redis://a:1'], env)).toEqual({ ...USUAL, url: 'redis://a:1' });
    expect(readArguments([], { REDIS_URL: '' })).toEqual(USUAL);
  });

  it.each([['--help'], ['-h'], ['--once', '--help']])('helps: %s', (...args) => {
    expect(readArguments(args, {})).toBe('help');
  });

  it.each([
    [
      ['--intervall', '9'],
      'did you mean "--interval"? known are --web, --port, --once, --json, --interval, --expect-plateau, --process, --help; got "--intervall"',
    ],
    [['--interval', '99'], '--interval must be milliseconds from 100 to 60000; got "99"'],
    [['--interval', '1e3'], '--interval must be milliseconds from 100 to 60000; got "1e3"'],
    [['--interval'], '--interval must be milliseconds from 100 to 60000; got ""'],
    [['--expect-plateau', '9'], '--expect-plateau must be seconds from 10 to 86400; got "9"'],
    [['--expect-plateau', '19', '--interval', '5000'], '--expect-plateau must be seconds from 20 to 86400; got "19"'],
    [['--once', '--expect-plateau', '10'], '--once must be left out beside --expect-plateau'],
    [['--web', '--once'], '--once must be left out beside --web'],
    [['--web', '--json'], '--json must be left out beside --web'],
    [['--port', '80'], '--port must be left out, or given beside --web; got "80"'],
    [['--web', '--port'], '--port must be a whole number from 0 to 65535; got ""'],
    [['--web', '--port', '65536'], '--port must be a whole number from 0 to 65535; got "65536"'],
    [['--web', '--port', '1.5'], '--port must be a whole number from 0 to 65535; got "1.5"'],
    [['--web=8080'], '--web must be given without a value; got "8080"'],
    [['--process'], `--process must be ${ADDRESS}; got ""`],
    [['--process', 'app.sock'], `--process must be ${ADDRESS}; got "app.sock"`],
    [['--process', '/a\0b'], `--process must be ${ADDRESS}`],
    [['--process', '/a', '--process', 'http://example.org:80/'], `--process must be ${ADDRESS}; got "http://example.org:80/"`],
    [['--process', 'https://127.0.0.1:1/'], `--process must be ${ADDRESS}`],
    [['--process', 'http://127.0.0.1.example.org:1/'], `--process must be ${ADDRESS}`],
    [['--process', 'http://127.0.0.1:1/scopes'], `--process must be ${ADDRESS}`],
    [['--process', 'http://ann:hunter2@127.0.0.1:1/'], `--process must be ${ADDRESS}; got "http://***@127.0.0.1:1/"`],
    [['--once=yes'], '--once must be given without a value; got "yes"'],
    [['redis://a', 'redis://:hunter2@b'], 'url must be one URL'],
    [['http://:hunter2@a'], 'url must be a URL like redis://host:6379 or rediss://host:6380'],
    [['localhost:6379'], 'url must be a URL like'],
    // Each is half of a letter; only together could they be decoded.
    [['redis://%E2%82:%AC@a'], 'url must be a URL with user and password percent-encoded: %25 for %'],
  ])('refuses %j', async (args, message) => {
    const error = await errorOf(() => readArguments(args, {}));
    expect(error).toMatchObject({ code: 'ERR_INVALID_OPTION', message: expect.stringContaining(message) });
    expect(String(error)).not.toContain('hunter2');
  });

  it('names REDIS_URL where that is wrong', async () => {
    expect(() => readArguments([], { REDIS_URL: 'hunter2' })).toThrow(
      /REDIS_URL must be a URL like .*; got a value of type string, which is not shown/,
    );
  });
});
