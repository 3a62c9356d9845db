import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';
import { SecondTries } from './test/support/second-tries.ts';

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

/** Tests that talk to Redis or BullMQ; they run against both major versions that the package works with. */
const WITH_REDIS = [
  'test/redis/**/*.test.ts',
  'test/pubsub/**/*.test.ts',
  'test/integrations/bullmq/**/*.test.ts',
  'test/inspect/openings.test.ts',
];

export default defineConfig({
  resolve: {
    // As in tsconfig.json: examples and README import the package by its name, and run against its source.
    alias: [
      { find: /^scoped-pool$/, replacement: source('index.ts') },
      { find: /^scoped-pool\/(bullmq|http|otel)$/, replacement: source('integrations/$1/index.ts') },
      { find: /^scoped-pool\/(inspect|redis|pubsub|testing)$/, replacement: source('$1/index.ts') },
    ],
  },
  test: {
    execArgv: ['--expose-gc'],
    // Clocks, processes and servers are real, and the machine may have other work to do.
    retry: 1,
    reporters: ['default', new SecondTries()],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Most of them wait, for timeouts and for servers that are killed: with one worker fewer than cores, as by default, two
    // cores would be mostly idle; four files at a time use 1.5 of two.
    maxWorkers: Math.max(4, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    // One server given by REDIS_URL serves all files, whose counts would disturb each other.
    fileParallelism: !process.env.REDIS_URL,
    coverage: { provider: 'v8', include: ['src/**'], reporter: ['text', 'html'] },
    projects: [
      {
        extends: true,
        test: { name: 'newest', include: ['test/**/*.test.ts'] },
      },
      {
        extends: true,
        resolve: {
          alias: [
            { find: /^ioredis$/, replacement: 'ioredis-5' },
            { find: /^bullmq$/, replacement: 'bullmq-5' },
          ],
        },
        // Processor files run in processes of their own, which know no aliases.
        test: { name: 'ioredis-5', include: WITH_REDIS, exclude: ['test/integrations/bullmq/sandbox.test.ts'] },
      },
    ],
  },
});
