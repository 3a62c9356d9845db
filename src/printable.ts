import { redact } from './redact.ts';

/** Longer texts are cut: a client may give itself a name of megabytes. */
const MOST = 200;

/**
 * A text from outside as it may reach a terminal: one line of plain ASCII, each character one column wide, without the
 * credentials of URLs, also of such as are none because they hold a slash. What is else in it, such as the control characters that a terminal obeys, becomes «?».
 */
export function printable(text: string): string {
  return bounded(text, MOST).replace(/[^\x20-\x7e]/g, '?');
}

/** Longer than any path; who shows a line of code needs its end. */
const MOST_LEGIBLE = 500;

/**
 * The same for a page, which shows all languages: what is no character to be read, such as those that turn the direction
 * of the text around it, becomes «?».
 */
export function legible(text: string): string {
  return bounded(text, MOST_LEGIBLE).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
}

function bounded(text: string, most: number): string {
  const shown = redact(text.slice(0, most))
    // The path of a file has no credentials, but may have an «@»: that of a package.
    .replace(/(?<!\bfile):\/\/\S*@/g, '://***@')
    .replace(/([?&]\w*password=)[^&\s]*/gi, '$1***');
  // A URL that was cut before its host ends may be all credentials.
  return text.length > most ? shown.replace(/:\/\/[^/?#]*$/, '://***') : shown;
}

/** No path is longer, nor a line of a stack. */
const LONGEST_PLACE = 1_000;

/** The same of a file with its line, or of a line of a stack: of a longer one the end is kept, where the line stands. */
export function printablePlace(text: string): string {
  // What is cut off its beginning may be that of credentials, which hold no slash.
  const end = text.length > LONGEST_PLACE ? text.slice(-LONGEST_PLACE).replace(/^[^/]*/, '') : text;
  return redact(end)
    .slice(-MOST)
    .replace(/[^\x20-\x7e]/g, '?');
}
