import { Redis } from 'ioredis';
import { startRedis } from '../dev/redis-server.ts';
import { type BenchOptions, type BenchResult, median, ratio } from './bench.ts';
import { CONTENDERS, type Contender } from './health/contenders.ts';
import { idleGrowth } from './health/idle.ts';
import { killLoop, type Loop, type Outcome } from './health/kill-loop.ts';
import { type LookCost, lookCost } from './health/look.ts';

/** Of how many connections lent at most one may be dead, in percent: where the event loop is free, and where it is busy. */
const BOUNDS: Readonly<Record<Loop, number>> = { free: 0.1, busy: 2.5, 'busy, holding': 2.5 };

const LOOPS = Object.keys(BOUNDS) as readonly Loop[];

/** What came out of a contender in one kind of loop, round by round. */
interface Course {
  readonly contender: Contender;
  readonly loop: Loop;
  readonly outcomes: Outcome[];
}

/**
 * How many connections are dead when they are lent, while another process kills one every 10 ms; what the look at a
 * connection costs; how often connections that nobody uses are made anew. The servers are our own.
 */
export async function bench({ quick, seconds = quick ? 6 : 30 }: BenchOptions): Promise<BenchResult> {
  const server = await startRedis({ fresh: true });
  const redis = new Redis(server.url, { connectionName: 'observer' });
  try {
    const cost = await lookCost(server.url, quick ? 20 : 200);
    const courses = await run(redis, server.url, quick ? { rounds: 1, ms: 500 } : { rounds: 5, ms: 2_000 });
    const idle = await idleGrowth(seconds * 1_000);
    return report(courses, cost, idle);
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

async function run(
  redis: Redis,
  url: string,
  { rounds, ms }: { readonly rounds: number; readonly ms: number },
): Promise<readonly Course[]> {
  const courses = CONTENDERS.flatMap((contender) =>
    LOOPS.filter((loop) => contender.holds || loop !== 'busy, holding').map((loop): Course => ({ contender, loop, outcomes: [] })),
  );
  for (let round = 0; round < rounds; round++) {
    for (const { contender, loop, outcomes } of courses) outcomes.push(await killLoop(contender, loop, redis, url, ms));
  }
  return courses;
}

function report(
  courses: readonly Course[],
  cost: LookCost,
  idle: readonly { readonly name: string; readonly growth: number }[],
): BenchResult {
  console.table(idle);
  const rows = courses.map(rowOf);
  const { withLook, withoutLook, ping } = cost;
  const lookUs = ratio(withLook - withoutLook, 1);
  const look = { withLookUs: ratio(withLook, 1), withoutLookUs: ratio(withoutLook, 1), lookUs, pingUs: ratio(ping, 1) };
  console.table([{ ...look, ratio: ratio(withLook, withoutLook), toPing: ratio(lookUs, ping) }]);
  return { rows, figures: { killLoop: rows, look, idle }, failure: failureOf(courses) };
}

function rowOf({ contender, loop, outcomes }: Course) {
  const all = outcomes.map(deadPercent);
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const first = sum((outcome) => outcome.first);
  const joined = sum((outcome) => outcome.joined);
  const dead = sum(({ firstDead, joinedDead }) => firstDead + joinedDead);
  return {
    contender: contender.name,
    loop,
    lent: first + joined,
    deadPercent: percent(median(all)),
    least: percent(Math.min(...all)),
    most: percent(Math.max(...all)),
    first: part(
      sum(({ firstDead }) => firstDead),
      first,
    ),
    joined: part(
      sum(({ joinedDead }) => joinedDead),
      joined,
    ),
    fresh: part(
      sum(({ freshDead }) => freshDead),
      sum(({ fresh }) => fresh),
    ),
    deadPerKill: ratio(
      dead,
      sum(({ kills }) => kills),
    ),
    unknown: sum(({ unknown }) => unknown),
    wrong: sum(({ wrong }) => wrong),
  };
}

/** Of those who came first to a connection, joined others there, or had one that was read in this very turn: dead of all. */
function part(dead: number, all: number): string {
  return all === 0 ? '' : `${dead} of ${all}`;
}

function deadPercent({ first, firstDead, joined, joinedDead }: Outcome): number {
  return (100 * (firstDead + joinedDead)) / (first + joined);
}

function percent(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

/** What our pool, as it is, has not kept. */
function failureOf(courses: readonly Course[]): string | undefined {
  const failures = courses.flatMap(({ contender, loop, outcomes }) => {
    const where = `${contender.name}, ${loop}`;
    const dead = percent(median(outcomes.map(deadPercent)));
    const wrong = outcomes.reduce((total, outcome) => total + outcome.wrong, 0);
    const said = [];
    if (contender.isBound && dead > BOUNDS[loop]) said.push(`${where}: ${dead} % dead when lent, more than ${BOUNDS[loop]} %`);
    if (contender.isOurs && wrong > 0) said.push(`${where}: wrong ${wrong}`);
    return said;
  });
  return failures.length === 0 ? undefined : failures.join('\n');
}
