import type { SentCommand } from './ioredis.ts';

/** Commands among whose arguments passwords stand; with subcommands, when these do. */
const SECRETIVE = new Map<string, readonly string[] | undefined>([
  ['auth', undefined],
  ['hello', undefined],
  ['migrate', undefined],
  ['acl', ['setuser']],
  ['config', ['set']],
  ['sentinel', ['set', 'config']],
]);

/** Lets no error of the command show its arguments, when a password may be among them. */
export function hideSecrets(command: Pick<SentCommand, 'name' | 'args' | 'reject'>): void {
  const name = command.name.toLowerCase();
  if (!SECRETIVE.has(name)) return;
  const subcommands = SECRETIVE.get(name);
  if (subcommands && !subcommands.includes(String(command.args.flat()[0]).toLowerCase())) return;
  const { reject } = command;
  command.reject = (error) => reject.call(command, withoutArguments(error));
}

/** Errors of replies carry their command with all its arguments. */
export function withoutArguments<E>(error: E): E {
  const { command } = error as { command?: { args?: unknown[] } };
  if (command) command.args = [];
  return error;
}
