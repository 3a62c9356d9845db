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

/** Errors of replies carry their command with all its arguments; and who does not know the command may quote them, in part. */
export function withoutArguments<E>(error: E): E {
  const { command } = error as { command?: { args?: unknown[] } };
  if (command) command.args = [];
  if (error instanceof Error) {
    const { message, stack } = error;
    const shown = message.replace(QUOTED, '$1 ***');
    // It begins with the message; a program may have made something else of all stacks.
    if (typeof stack === 'string') error.stack = stack.replace(message, () => shown);
    error.message = shown;
  }
  return error;
}

/** `ERR unknown command 'auth', with args beginning with: 'ann' 'hunter2'`. Of those that are long it quotes the beginning. */
const QUOTED = /(with args beginning with:).*/s;
