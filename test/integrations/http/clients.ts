import { Agent, type ClientRequest, type IncomingMessage, request as send } from 'node:http';

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One request of a client, and when it goes away, if it does. */
export interface Plan {
  readonly id: string;
  readonly path: string;
  readonly body: string | undefined;
  readonly leaves: 'never' | 'before the first byte' | 'within the answer' | 'within the upload';
  /** From 0 to 1: how far it gets before it goes away. */
  readonly at: number;
}

const PATHS = ['/get', '/json', '/raw', '/stream', '/transaction', '/slow'] as const;
const UPLOADS: readonly string[] = ['/json', '/raw'];

/** Every third client goes away. */
export function plans(count: number, random: () => number): readonly Plan[] {
  const pick = <T>(all: readonly T[]) => all[Math.floor(random() * all.length)] as T;
  return Array.from({ length: count }, (_, n) => {
    const path = pick(PATHS);
    const isUpload = UPLOADS.includes(path);
    const ways = ['before the first byte', 'within the answer', ...(isUpload ? (['within the upload'] as const) : [])] as const;
    const leaves = n % 3 === 0 ? pick(ways) : 'never';
    const body = isUpload ? JSON.stringify({ text: 'x'.repeat(random() * 200_000) }) : undefined;
    return { id: `${n}`, path, body, leaves, at: random() };
  });
}

/** What came of a plan. */
export interface Came {
  readonly plan: Plan;
  readonly status: number | undefined;
  readonly text: string;
}

/** Carries plans out, by so many clients at once. @returns what came of those that were not left. */
export async function carryOut(url: string, all: readonly Plan[], clients: number): Promise<readonly Came[]> {
  const sockets = new Agent({ keepAlive: true, maxSockets: clients });
  const todo = [...all];
  const came: Came[] = [];
  const client = async () => {
    for (let plan = todo.shift(); plan; plan = todo.shift()) {
      const result = await (plan.leaves === 'never' ? stay(url, plan, sockets) : leave(url, plan, sockets));
      if (result) came.push(result);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  sockets.destroy();
  return came;
}

function open(url: string, { path, id, body }: Plan, sockets: Agent): ClientRequest {
  const type = path === '/json' ? 'application/json' : 'application/octet-stream';
  const headers = body === undefined ? {} : { 'content-type': type, 'content-length': body.length };
  return send(`${url}${path}?id=${id}`, { agent: sockets, headers, method: body === undefined ? 'GET' : 'POST' });
}

async function stay(url: string, plan: Plan, sockets: Agent): Promise<Came> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    open(url, plan, sockets).on('response', resolve).on('error', reject).end(plan.body);
  });
  const text = (await response.setEncoding('utf8').toArray()).join('');
  return { plan, status: response.statusCode, text };
}

/** Goes away: some milliseconds after the request was sent, after some of the answer, or after some of the upload. */
function leave(url: string, plan: Plan, sockets: Agent): Promise<undefined> {
  const { leaves, at, body = '' } = plan;
  return new Promise((resolve) => {
    const request = open(url, plan, sockets);
    request.on('error', () => {}).on('close', () => resolve(undefined));
    request.on('response', (response) => {
      let parts = leaves === 'within the answer' ? Math.floor(at * 10) : 0;
      response.on('data', () => parts-- > 0 || request.destroy());
      response.on('end', () => request.destroy()).on('error', () => {});
    });
    if (leaves === 'within the upload') request.write(body.slice(0, Math.floor(at * body.length)));
    else request.end(body);
    if (leaves !== 'within the answer') setTimeout(() => request.destroy(), at * 80);
  });
}
