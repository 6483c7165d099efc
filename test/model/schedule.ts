/**
 * A schedule as a short text: `a3ba2` is three steps of thread a, one of b, two of a. `b@7:a3b…` says that thread b dies before its step 7; the
 * reaper then has the letter after the last thread's. `a@2:b@7:…` are two deaths, and the reapers have the two letters after, in that order.
 */

/** Where a thread dies: before the step that has this position in its log, where 0 is its start. */
export interface Death {
  readonly thread: number;
  readonly position: number;
}

/** The executions that a text names: one. */
export interface Schedule {
  readonly threads: readonly number[];
  readonly deaths: readonly Death[];
}

export function formatSchedule({ threads, deaths }: Schedule): string {
  let text = deaths.map(({ thread, position }) => `${letterOf(thread)}@${position}:`).join("");
  for (let at = 0; at < threads.length; ) {
    let end = at + 1;
    while (threads[end] === threads[at]) end++;
    text += letterOf(threads[at]!) + (end - at === 1 ? "" : end - at);
    at = end;
  }
  return text;
}

/** @throws SyntaxError for a text that is no schedule */
export function parseSchedule(text: string): Schedule {
  const match = /^((?:[a-p]@\d+:)*)((?:[a-p]\d*)*)$/.exec(text);
  if (match === null)
    throw new SyntaxError(`Cannot replay ${JSON.stringify(text)}: a schedule is like a3ba2 or b@7:a3b`);
  const [, dying, runs] = match;
  const threads: number[] = [];
  for (const [, letter, count] of runs!.matchAll(/([a-p])(\d*)/g)) {
    for (let left = count === "" ? 1 : Number(count); left > 0; left--) threads.push(threadOf(letter!));
  }
  const deaths = [...dying!.matchAll(/([a-p])@(\d+):/g)].map(([, letter, position]) => {
    return { thread: threadOf(letter!), position: Number(position) };
  });
  return { threads, deaths };
}

/** How schedules and messages call a thread. */
export function letterOf(thread: number): string {
  return String.fromCharCode(97 + thread);
}

function threadOf(letter: string): number {
  return letter.charCodeAt(0) - 97;
}
