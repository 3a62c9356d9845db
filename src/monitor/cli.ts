#!/usr/bin/env node
import { complain } from './output.ts';

const NEEDS_IOREDIS = 'ioredis is not installed, and the monitor needs it. Install it beside scoped-pool: npm install ioredis';
const HELP = ['--help', '-h', 'help'];
const USAGE_CODE = 2;
const UNWATCHABLE_CODE = 3;

/** `scoped-pool <command>`; there is one. */
async function main([command = '', ...args]: readonly string[]): Promise<number> {
  const isHelp = HELP.includes(command);
  if (command !== 'monitor' && !isHelp) {
    complain(`the command must be "monitor": scoped-pool monitor [url]; scoped-pool monitor --help tells more`);
    return USAGE_CODE;
  }
  // Loaded here, so that it can be said what is missing: ioredis is optional.
  const { monitor } = await import('./command.ts');
  return monitor(isHelp ? ['--help'] : args);
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: NodeJS.ErrnoException) => {
    const lacksIoredis = error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes("'ioredis'");
    // Never 1, which says that connections grow.
    complain(lacksIoredis ? NEEDS_IOREDIS : (error.stack ?? String(error)));
    process.exitCode = UNWATCHABLE_CODE;
  },
);
