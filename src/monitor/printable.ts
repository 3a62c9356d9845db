import { redact } from '../redact.ts';

/** Longer texts are cut: a client may give itself a name of megabytes. */
const MOST = 200;

/**
 * A text from outside as it may reach a terminal: one line of plain ASCII, each character one column wide, without the
 * credentials of URLs. What is else in it, such as the control characters that a terminal obeys, becomes «?».
 */
export function printable(text: string): string {
  const shown = redact(text.slice(0, MOST));
  // A URL that was cut before its host ends may be all credentials.
  const safe = text.length > MOST ? shown.replace(/:\/\/[^/?#]*$/, '://***') : shown;
  return safe.replace(/[^\x20-\x7e]/g, '?');
}
