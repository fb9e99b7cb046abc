import type { Gateway } from "./gateways.ts";
import { ALLOWED } from "./gateways.ts";
import { type Hit, newSession, type Span, type Ticket } from "./model.ts";
import { type Chance, createChance } from "./random.ts";
import type { Stream } from "./streams.ts";
import { type Browser, SESSION_COOKIE, type Sent } from "./visitor.ts";
import { type HeldSession, newClient, type World } from "./world.ts";

/**
 * Somebody with two browsers, who does one thing after another, and knows what has to come of it. A stranger is on no list, and a
 * guest is let in by an administrator, and shut out again.
 */
export type Person = {
  readonly world: World;
  readonly email: string;
  readonly kind: "member" | "stranger" | "guest";
  readonly chance: Chance;
  readonly browsers: readonly [Browser, Browser];
  client: string;
  tickets: HeldTicket[];
  sessions: HeldSession[];
  keys: HeldKey[];
  streams: Stream[];
  /** What is counted on the client, and on the mailbox. */
  logins: Hit[];
  attempts: Hit[];
  mails: Hit[];
  /** Who has left does nothing any more. */
  gone: boolean;
  shutOutBy: number;
  readonly history: string[];
};

export type HeldTicket = Ticket & {
  readonly token: string;
  readonly code: string;
  readonly browser: Browser;
};
export type HeldKey = HeldSession & { readonly id: string };

export function createPerson(world: World, seed: number, number: number): Person {
  const chance = createChance(seed * 100_003 + number);
  const kind = number % 12 === 5 ? "stranger" : number % 12 === 9 ? "guest" : "member";
  return {
    ...{ world, kind, chance },
    email: `${kind}-${number}@${kind === "member" ? ALLOWED : "elsewhere.test"}`,
    browsers: [{ cookies: new Map() }, { cookies: new Map() }],
    client: newClient(),
    ...{ tickets: [], sessions: [], keys: [], streams: [], logins: [], attempts: [], mails: [], history: [] },
    ...{ gone: false, shutOutBy: Number.POSITIVE_INFINITY },
  };
}

/** Somebody comes by another way: nothing is counted on it. */
export function move(person: Person): void {
  person.client = newClient();
  person.logins = [];
  person.attempts = [];
}

export function note(person: Person, what: string, { span, gateway, status, text }: Sent): void {
  if (status === 0 || status === 503) person.world.troubles.strain(gateway, span);
  const seconds = (ms: number) => (ms / 1000).toFixed(3);
  const said = status === 0 ? text : "";
  person.history.push(`${seconds(span.from)}–${seconds(span.to)} g${gateway} ${what}: ${status} ${said}`);
  if (person.history.length > 80) person.history.shift();
}

export function wrong(person: Person, what: string): void {
  person.world.ledger.wrong(`${person.email}: ${what}`, person.history);
}

/** A status that no act expects. */
export function unexpected(person: Person, what: string, { status, text }: Sent): void {
  wrong(person, `${what}: ${status} ${text.slice(0, 200)}`);
}

/** Keeps a session that was begun, in place of the one that the browser had. */
export function signedIn(
  person: Person,
  browser: Browser,
  cookie: string,
  sent: Sent,
  before: string | undefined,
) {
  const state = newSession(person.email, sent.span);
  // It may have been shut out while it began.
  if (person.shutOutBy < Number.POSITIVE_INFINITY) state.mayEndFrom = sent.span.from;
  person.sessions.push({ state, cookie, history: person.history });
  browser.cookies.set(SESSION_COOKIE, cookie);
  if (person.sessions.length > 8) person.world.left.push(...person.sessions.splice(0, 1));
  if (before === undefined) return;
  const { troubles } = person.world;
  // It ends with the new one, unless the store goes away at that moment.
  const certain = !troubles.explain(sent.gateway, sent.span.from, sent.span.to);
  for (const old of person.sessions) if (old.cookie === before) ends(person, old, sent.span, certain);
}

/** To be said before it is asked for: what is open on it may close before there is an answer. */
export function mayEnd(sessions: readonly HeldSession[]): void {
  for (const { state } of sessions) state.mayEndFrom = Math.min(state.mayEndFrom, performance.now());
}

/** Says of a session that it was ended, or may have been. */
export function ends(person: Person, { state }: HeldSession, { from, to }: Span, certain: boolean): void {
  state.mayEndFrom = Math.min(state.mayEndFrom, from);
  if (!certain) return;
  state.endedBy = Math.min(state.endedBy, to);
  for (const stream of person.streams) if (stream.state === state) stream.mustEnd(state.endedBy);
}

export const liveSessions = (person: Person) =>
  person.sessions.filter(({ state }) => state.mayEndFrom === Number.POSITIVE_INFINITY);

export const anyOf = (person: Person): Gateway => person.chance.pick(person.world.gateways);
