// A NestJS application: each worker that Nest makes has connections of its own, which app.close() closes. Node alone compiles no decorators: npx tsx does.
import { BullModule, getQueueToken, Processor, WorkerHost } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { type Job, type Queue, Worker } from 'bullmq';
import { scopeOf, withScopes } from 'scoped-pool/bullmq';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = defineRedisPool('redis', { url, max: 10 });
const work = (key: string) => Promise.all(Array.from({ length: 20 }, () => redis.use((connection) => connection.incr(key))));

const LIMITS: Readonly<Record<string, number>> = { 'example-mails': 5, 'example-reports': 2 };
// Before the application is made. Every worker that Nest makes has a scope, and as many connections as its queue may have.
BullModule.workerClass = withScopes(Worker, (queue) => ({ limits: { redis: LIMITS[queue] ?? 1 } }));

@Processor('example-mails', { concurrency: 5 })
class MailProcessor extends WorkerHost {
  process(_job: Job): Promise<number[]> {
    return work('example:mails');
  }
}

@Processor('example-reports', { concurrency: 2 })
class ReportProcessor extends WorkerHost {
  process(_job: Job): Promise<number[]> {
    return work('example:reports');
  }
}

@Module({
  imports: [BullModule.forRoot({ connection: { url } }), BullModule.registerQueue({ name: 'example-mails' }, { name: 'example-reports' })],
  providers: [MailProcessor, ReportProcessor],
})
class AppModule {}

/** Runs `count` jobs in each queue. @returns how many connections each has opened. */
export async function main(count = 50): Promise<readonly number[]> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
  app.enableShutdownHooks(); // SIGTERM closes the application, too
  const opened: number[] = [];
  for (const Host of [MailProcessor, ReportProcessor]) {
    const { worker } = app.get(Host);
    let left = count;
    const done = new Promise<void>((resolve, reject) => {
      worker.on('completed', () => --left === 0 && resolve()).on('failed', (_job, error) => reject(error));
    });
    const jobs = Array.from({ length: count }, () => ({ name: 'example', data: {}, opts: { removeOnComplete: true } }));
    await app.get<Queue>(getQueueToken(worker.name)).addBulk(jobs);
    await done;
    opened.push(scopeOf(worker).run(() => redis.stats().created));
  }
  await app.close(); // every connection is closed
  return opened;
}

if (process.argv[1] === import.meta.filename) console.log(`connections opened: ${(await main()).join(' and ')}`);
