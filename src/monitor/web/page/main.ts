import { ageText } from './age.ts';
import { Charts } from './charts.ts';
import { BEAT_MS, type Entry, MOST_ENTRIES, MOST_POINTS, type News, type Point, type Shot } from './messages.ts';
import { Tables } from './tables.ts';
import { element, make, numberText, setText } from './text.ts';

const MOODS = { growing: 'bad', plateau: 'good', watching: 'wait' };
const SILENCE_MS = 4 * BEAT_MS;
const RETRY_MS = 1_000;

const charts = new Charts();
const tables = new Tables();
let points: readonly Point[] = [];
let shot: Shot | undefined;
/** Of what is drawn, which is older while it is paused. */
let drawn: Shot | undefined;
/** Whether the monitor has no connection to the server. */
let isLost = false;
let isPaused = false;
let isConnected = false;
let heardAt = 0;

function hear({ points: more, shot: newer, entries, note, isLost: lost }: News): void {
  points = [...points, ...more].slice(-MOST_POINTS);
  shot = newer ?? shot;
  isLost = lost;
  for (const entry of entries) log(entry);
  setText(element('note'), note);
  element('note').hidden = note === '';
  draw();
}

/** While it is paused, and while nobody looks, it goes on listening: what is drawn then lacks nothing. */
function draw(): void {
  if (!shot || isPaused || document.hidden) return;
  drawn = shot;
  const { server, version, watchedMs } = shot;
  setText(element('server'), `${server}, redis ${version}, watched for ${ageText(watchedMs / 1_000)}`);
  drawTiles(shot);
  tables.show(shot);
  charts.show(points);
}

function drawTiles({ clients, maxclients, blocked, rejected, rejectedMeanwhile, opened, openedPerSecond, unseenPerSecond }: Shot): void {
  setText(element('clients'), `${numberText(clients)}${maxclients === null ? '' : ` of ${numberText(maxclients)}`}`);
  setText(element('blocked'), numberText(blocked));
  setText(element('rejected'), `${numberText(rejected)}${rejectedMeanwhile > 0 ? ` (+${numberText(rejectedMeanwhile)})` : ''}`);
  element('rejected').className = rejectedMeanwhile > 0 ? 'bad' : '';
  const unseen = unseenPerSecond > 0 ? `, ${unseenPerSecond.toFixed(1)}/s closed again unseen` : '';
  setText(element('opened'), `${numberText(opened)} (${openedPerSecond.toFixed(1)}/s${unseen})`);
}

function log({ atMs, mood, text }: Entry): void {
  const said = make('span', text);
  said.className = mood;
  const list = element('entries');
  list.prepend(make('li', make('time', new Date(atMs).toLocaleTimeString()), said));
  while (list.children.length > MOST_ENTRIES) list.lastChild?.remove();
}

/** Says how it stands with the monitor itself: what is shown may be old. */
function drawState(): void {
  const isSilent = performance.now() - heardAt > SILENCE_MS;
  const [mood, text] = !isConnected
    ? ['bad', 'reconnecting… Has the monitor ended? Start it again: scoped-pool monitor --web']
    : isSilent
      ? ['bad', 'the monitor is silent: its process stands still']
      : isLost
        ? ['bad', 'the connection to Redis is lost: these figures are old']
        : isPaused
          ? ['wait', 'paused']
          : ['good', 'live'];
  const isStale = !isConnected || isSilent || isLost;
  document.body.classList.toggle('stale', isStale);
  setText(element('now'), isStale ? 'Before' : 'Now');
  setText(element('state'), text);
  element('state').className = mood;
  if (drawn) drawVerdict(drawn, isStale);
}

/** Of what is old nobody knows whether it is so still, and not by its colour alone. */
function drawVerdict({ verdict: { trend, text }, server }: Shot, isStale: boolean): void {
  const said = isStale ? `UNKNOWN, was ${text}` : text;
  setText(element('verdict'), said);
  element('verdict').className = isStale ? 'soft' : MOODS[trend];
  document.title = `${said} · ${server}`;
}

function pause(): void {
  isPaused = !isPaused;
  setText(element('pause').firstElementChild ?? element('pause'), isPaused ? 'Go on' : 'Pause');
  draw();
  drawState();
}

function listen(): void {
  const events = new EventSource('events');
  const on = (event: string, then: (data: string) => void) =>
    events.addEventListener(event, ({ data }: MessageEvent<string>) => {
      [isConnected, heardAt] = [true, performance.now()];
      then(data);
      drawState();
    });
  on('all', (data) => {
    points = [];
    element('entries').replaceChildren();
    // What was before is there to be read, and is not read out.
    element('log').ariaLive = 'off';
    hear(JSON.parse(data) as News);
  });
  on('news', (data) => {
    element('log').ariaLive = 'polite';
    hear(JSON.parse(data) as News);
  });
  on('beat', () => {});
  events.addEventListener('error', () => {
    isConnected = false;
    drawState();
    // Somebody else has answered at this place, which ends it; what else goes wrong it tries again by itself.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
  });
}

element('pause').addEventListener('click', pause);
document.addEventListener('keydown', ({ key, ctrlKey, metaKey, altKey, repeat }) => {
  if (key === 'p' && !(ctrlKey || metaKey || altKey || repeat)) pause();
});
document.addEventListener('visibilitychange', () => {
  draw();
  drawState();
});
// So that a keyboard can scroll it.
element('log').tabIndex = 0;
setInterval(drawState, BEAT_MS);
listen();
