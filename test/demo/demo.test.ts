import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import type { Figures } from '../../demo/judge.ts';
import { useTools } from '../support/compiled.ts';

const build = useTools();

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawn(process.execPath, [join(build, 'demo/main.js'), ...args], { env: { ...process.env, ...env } });
}

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const demo = start(args, env);
  const [output, errors, [code]] = await Promise.all([text(demo.stdout), text(demo.stderr), once(demo, 'exit')]);
  return { output, errors, code };
}

describe('npm run demo', () => {
  it('measures what each of the six ways opens, and ends by itself', { timeout: 120_000 }, async () => {
    const { output, errors, code } = await run(['--seconds', '1', '--json']);
    expect(output.trimEnd().split('\n'), errors).toHaveLength(1);
    const { phases, ok } = JSON.parse(output) as { phases: readonly Figures[]; ok: boolean };
    expect([code, ok], errors).toEqual([0, true]);
    expect(phases.map(({ bullmq }) => bullmq)).toEqual([3, 3, 3, 3, 3, 11]);
    expect(phases.map(({ limit }) => limit)).toEqual([null, null, 10, 10, 10, 50]);
    expect(phases.map(({ verdict }) => verdict)).toEqual(['growing', 'growing', 'plateau', 'plateau', 'plateau', 'plateau']);
    const [client, pool, one, ...others] = phases;
    expect(client?.opened).toBe(client?.jobs);
    expect(pool?.opened).toBe((pool?.jobs ?? 0) * 10);
    expect(one?.opened).toBeLessThanOrEqual(5);
    expect(others.map(({ opened, peak }) => [opened, peak])).toEqual([
      [10, 10],
      [1, 1],
      [50, 50],
    ]);
    for (const { jobs, jobsPerSecond, p50Ms, p99Ms } of phases) {
      expect(Math.min(jobs, jobsPerSecond, p50Ms)).toBeGreaterThan(0);
      expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
    }
  });

  it('shows line by line what happens when there is no terminal', { timeout: 60_000 }, async () => {
    const demo = start([]);
    let output = '';
    demo.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    await expect.poll(() => output, { timeout: 30_000 }).toMatch(/1\/6 client per job\n.*\n +1 s {2}opened \d+ \(no limit\) +jobs/);
    demo.kill('SIGINT');
    const [code] = await once(demo, 'close');
    expect([code, output.includes('\x1b')]).toEqual([130, false]);
    expect(output).toMatch(/\nstopped by SIGINT\n$/);
  });

  it('ends with 1 when there is no server', async () => {
    const { output, errors, code } = await run(['--json'], { REDIS_URL: 'redis://127.0.0.1:1' });
    expect([output, code]).toEqual(['{"phases":[],"ok":false}\n', 1]);
    expect(errors).toContain('FAILED: nothing answers at REDIS_URL');
  });

  it('ends with 2 when it does not understand what is asked', async () => {
    const { output, errors, code } = await run(['--seconds', '0']);
    expect([output, code]).toEqual(['', 2]);
    expect(errors).toMatch(/^demo: --seconds must be a whole number from 1 to 60; got "0"\n/);
  });
});
