import { recently } from '../pool/recently.ts';
import { outcomeOf } from './outcome.ts';
import { isReading } from './reading.ts';
import type { Entry } from './recorder.ts';

/** What an attempt to have a command executed begins with. */
export interface Attempt {
  readonly command: string;
  readonly idempotent: boolean;
  readonly attempts: number;
  readonly begun: number;
  readonly sending: Sending;
}

/** What is about to be sent, for pools that must know where to. */
export interface Sending {
  readonly entries: readonly Entry[];
  /** Why the attempt before failed. */
  readonly error?: unknown;
}

/** Whether nobody knows of a command that changes something whether it was executed. */
export function isDoubtful({ command }: Attempt, error: unknown): boolean {
  return outcomeOf(error) === 'unknown' && !isReading(command);
}

export function nextOf(attempt: Attempt, error: unknown): Attempt {
  return { ...attempt, attempts: attempt.attempts + 1, sending: { ...attempt.sending, error } };
}

export function attemptOf(command: string, idempotent: boolean, entries: readonly Entry[]): Attempt {
  return { command, idempotent, attempts: 1, begun: recently(), sending: { entries } };
}
