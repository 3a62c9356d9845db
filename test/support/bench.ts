import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { useTools } from './compiled.ts';

/** How a bench has ended. */
interface Ended {
  readonly code: number;
  readonly errors: string;
  /** What `--json` has printed last. */
  readonly figures: Readonly<Record<string, unknown>>;
}

/** `npm run bench -- …args --json`, for one test file: a child runs no TypeScript on Node 20. */
export function useBench(): (args: readonly string[], env?: NodeJS.ProcessEnv) => Promise<Ended> {
  const build = useTools();
  return async (args, env = {}) => {
    const options = ['--expose-gc', join(build, 'bench/main.js'), ...args, '--json'];
    const child = spawn(process.execPath, options, { env: { ...process.env, ...env } });
    const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code, errors, figures: JSON.parse(output.trim().split('\n').at(-1) ?? '') };
  };
}
