import { readdirSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Bench } from './bench.ts';

/** `npm run bench -- <name> [--quick] [--json]` */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  });
  const [name = ''] = positionals;
  if (!names().includes(name)) {
    console.error(`usage: npm run bench -- <name> [--quick] [--json]\nnames: ${names().join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const { bench } = (await import(`./${name}.js`)) as { readonly bench: Bench };
  const rows = await bench({ quick: values.quick });
  if (values.json) console.log(JSON.stringify({ bench: name, machine: machine(), rows }, null, 2));
  else {
    console.log(`${name}: ${machine()}`);
    console.table(rows);
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
