import { PassThrough } from 'node:stream';
import type { WriteStream } from 'node:tty';
import { describe, expect, it } from 'vitest';
import type { Phase } from '../../demo/phases.ts';
import { screenOn } from '../../demo/screen.ts';
import { GOOD } from './figures.ts';

const PHASE: Phase = { name: 'wrapped', does: 'Each job sends a command.', workers: 1, concurrency: 5, limit: 10, job: async () => {} };
const progress = { samples: [{ atMs: 250, opened: 5 }], jobs: 7, jobsPerSecond: 28, elapsedMs: 250 };
const HIDE = '<?25l>';
const SHOW = '<?25h>';

// In pieces, for a control character in a regular expression is mostly a mistake.
const STEERING = new RegExp(`${'\x1b'}\\[([?\\d]*[a-zA-Z])`, 'g');

/** A terminal without colours, and what was written on it since it was asked last: what steers it stands in <>. */
function terminal(columns: number) {
  const stream = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY: true, columns, hasColors: () => false });
  const written = () => String(stream.read() ?? '').replace(STEERING, '<$1>');
  return { stream, screen: screenOn(stream as unknown as WriteStream, 1), written };
}

describe('a screen on a terminal', () => {
  it('draws a phase in place', () => {
    const { screen, written } = terminal(80);
    screen.begin(PHASE, '3/6');
    expect(written()).toBe(`${HIDE}\n 3/6 wrapped\n     Each job sends a command.\n`);
    screen.progress(progress);
    const first = written();
    expect(first).toMatch(/^<3A>\r<J>\n 3\/6 wrapped\n/);
    expect(first).toContain('opened 5 (limit 10)       jobs 7       28 jobs/s     growing\n');
    expect(first.split('\n')[5]?.trim()).toBe('█');
    screen.end(GOOD);
    expect(written()).toMatch(/^<7A>\r<J>[\s\S]*opened 10 \(limit 10\) +jobs 1161 +384 jobs\/s +plateau\n$/);
  });

  it('leaves a picture that is finished alone', () => {
    const { screen, written } = terminal(80);
    screen.begin(PHASE, '3/6');
    screen.end(GOOD);
    written();
    screen.begin(PHASE, '4/6');
    expect(written()).toBe('\n 4/6 wrapped\n     Each job sends a command.\n');
    screen.say('table', 'verdict');
    expect(written()).toBe('table\nverdict\n');
  });

  it('writes no line that a narrow terminal would break', () => {
    const { screen, written } = terminal(20);
    screen.begin(PHASE, '3/6');
    screen.end(GOOD);
    const lines = written().split('\n');
    expect(Math.max(...lines.map((line) => line.replace(/<.*>/, '').length))).toBe(19);
  });

  it('goes back over the lines that a terminal broke when it became narrower', () => {
    const { screen, stream, written } = terminal(80);
    screen.begin(PHASE, '3/6');
    written();
    stream.columns = 20;
    screen.progress(progress);
    // One empty line, a title in one, a description of 30 characters in two.
    expect(written()).toMatch(/^<4A>\r/);
  });

  it('gives the cursor back', () => {
    const { screen, written } = terminal(80);
    screen.close();
    screen.close();
    expect(written()).toBe(HIDE + SHOW + SHOW);
  });
});

describe('a screen elsewhere', () => {
  it('writes a line each second, and one at the end', () => {
    const stream = new PassThrough({ encoding: 'utf8' });
    const screen = screenOn(stream as unknown as WriteStream, 2);
    screen.begin(PHASE, '3/6');
    for (const elapsedMs of [250, 1_010, 1_500, 2_020]) screen.progress({ ...progress, elapsedMs });
    screen.end(GOOD);
    screen.close();
    expect(stream.read().split('\n')).toEqual([
      '',
      '3/6 wrapped',
      '    Each job sends a command.',
      '     1 s  opened 5 (limit 10)       jobs 7       28 jobs/s',
      '     2 s  opened 5 (limit 10)       jobs 7       28 jobs/s',
      '     end  opened 10 (limit 10)      jobs 1161    384 jobs/s    plateau',
      '',
    ]);
  });
});
