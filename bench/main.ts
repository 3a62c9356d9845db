import { readdirSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Bench } from './bench.ts';

const USAGE = 'usage: npm run bench -- <name> [--quick] [--json]';

/** `--json` prints the figures as one JSON object on the last line. */
async function main(): Promise<void> {
  const { name, quick, json } = readArguments();
  if (!names().includes(name)) {
    console.error(`${USAGE}\nnames: ${names().join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const { bench } = (await import(`./${name}.js`)) as { readonly bench: Bench };
  console.log(`${name}: ${machine()}`);
  const { rows, figures, failure } = await bench({ quick });
  console.table(rows);
  if (failure) console.error(failure);
  if (json) console.log(JSON.stringify({ bench: name, node: process.version, ...figures }));
  process.exitCode = failure ? 1 : 0;
}

function readArguments(): { name: string; quick: boolean; json: boolean } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
    });
    return { name: positionals.length === 1 ? (positionals[0] ?? '') : '', ...values };
  } catch (error) {
    console.error((error as Error).message);
    return { name: '', quick: false, json: false };
  }
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
