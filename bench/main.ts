import { readdirSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Bench, BenchOptions } from './bench.ts';

const USAGE = 'usage: npm run bench -- <name> [--quick] [--seconds N] [--seed N] [--verbose] [--json]';

/** `--json` prints the figures as one JSON object on the last line. */
async function main(): Promise<void> {
  const { name, json, ...options } = readArguments();
  if (!names().includes(name)) {
    console.error(`${USAGE}\nnames: ${names().join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const { bench } = (await import(`./${name}.js`)) as { readonly bench: Bench };
  console.log(`${name}: ${machine()}`);
  const { rows, figures, failure } = await bench(options);
  console.table(rows);
  if (failure) console.error(failure);
  if (json) console.log(JSON.stringify({ bench: name, node: process.version, ...figures }));
  process.exitCode = failure ? 1 : 0;
}

interface Arguments extends BenchOptions {
  /** Empty when it is missing, or something else is wrong. */
  readonly name: string;
  readonly json: boolean;
}

const flag = { type: 'boolean', default: false } as const;
const number = { type: 'string' } as const;

function readArguments(): Arguments {
  try {
    const options = { quick: flag, json: flag, verbose: flag, seconds: number, seed: number };
    const { values, positionals } = parseArgs({ allowPositionals: true, options });
    const { quick, json, verbose } = values;
    const name = positionals.length === 1 ? (positionals[0] ?? '') : '';
    return { name, quick, json, verbose, seconds: numberOf('seconds', values.seconds), seed: numberOf('seed', values.seed) };
  } catch (error) {
    console.error((error as Error).message);
    return { name: '', quick: false, json: false, verbose: false };
  }
}

function numberOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text) && Number(text) > 0) return Number(text);
  throw new Error(`--${option} must be a whole number above 0; got ${text}`);
}

/** The benches are the files beside this one. */
function names(): readonly string[] {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.js'));
  return files.map((file) => file.slice(0, -'.js'.length)).filter((name) => name !== 'main' && name !== 'bench');
}

function machine(): string {
  return `Node ${process.versions.node}, ${process.platform} ${process.arch}, ${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}`;
}

await main();
