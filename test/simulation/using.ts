import { judgeUse, newSession } from "./model.ts";
import { anyOf, type HeldKey, liveSessions, note, type Person, unexpected, wrong } from "./person.ts";
import { openStream } from "./streams.ts";
import { answerOf, type Browser, SESSION_COOKIE, type Sent, send } from "./visitor.ts";
import type { HeldSession } from "./world.ts";

/** Requests for the application, with a session, with a key, and with neither. */

export async function useSession(person: Person): Promise<void> {
  const { sessions, chance } = person;
  const held = sessions[chance.below(sessions.length)];
  if (held !== undefined) await show(person, held, "uses a session");
}

/** Of somebody who has left. */
export async function useLeft(person: Person): Promise<void> {
  const { left } = person.world;
  const [held] = left.splice(person.chance.below(left.length), 1);
  if (held === undefined) return;
  await show(person, held, `uses a session of ${held.state.email}`, held.history);
  left.push(held);
}

/** Asks every gateway at once, so that what one knows and another does not shows. */
export async function useEverywhere(person: Person): Promise<void> {
  const { sessions, chance, world } = person;
  const held = sessions[chance.below(sessions.length)];
  if (held === undefined) return;
  await Promise.all(
    world.gateways.map((gateway) => show(person, held, "uses a session everywhere", [], gateway)),
  );
}

async function show(
  person: Person,
  { state, cookie }: HeldSession,
  what: string,
  history: readonly string[] = [],
  gateway = anyOf(person),
): Promise<void> {
  const browser: Browser = { cookies: new Map([[SESSION_COOKIE, cookie]]) };
  const sent = await send(gateway, "/whoami", { client: person.client, browser });
  note(person, what, sent);
  judge(person, state, sent, history, true);
}

function judge(
  person: Person,
  state: HeldSession["state"],
  sent: Sent,
  history: readonly string[],
  ages: boolean,
): void {
  const { ledger, troubles } = person.world;
  const answer = answerOf(sent, sent.status === 200);
  if (answer === undefined) {
    unexpected(person, "a request", sent);
    return;
  }
  ledger.count(`${ages ? "session" : "key"}: ${answer}`);
  if (answer === "in" && sent.text !== state.email)
    wrong(person, `${state.email} was taken for "${sent.text}"`);
  const problem = judgeUse(state, sent.span, sent.gateway, answer, troubles, ages);
  if (problem !== undefined) {
    ledger.wrong(`${state.email}: ${problem}`, [...history, ...person.history]);
  }
  if (answer === "in" && sent.span.from > state.used.from) state.used = sent.span;
}

/** With a cookie that nobody was given, or one with a letter changed. */
export async function forge(person: Person): Promise<void> {
  const { chance, sessions } = person;
  const real = sessions[0]?.cookie;
  const made = Array.from({ length: 43 }, () => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[chance.below(32)]).join(
    "",
  );
  const at = chance.below(40);
  const changed =
    real === undefined ? made : real.slice(0, at) + (real[at] === "A" ? "B" : "A") + real.slice(at + 1);
  const browser: Browser = { cookies: new Map([[SESSION_COOKIE, chance.oneIn(2) ? made : changed]]) };
  const headers = { "X-Runegate-User": person.email, "X-Forwarded-User": person.email };
  const sent = await send(anyOf(person), "/whoami", { client: person.client, browser, headers });
  note(person, "shows a forged session", sent);
  person.world.ledger.count(`forged: ${answerOf(sent, sent.status === 200)}`);
  if (sent.status === 200) wrong(person, "let in by a forged session");
}

export async function open(person: Person): Promise<void> {
  const { sessions, chance, world, client } = person;
  const held = sessions[chance.below(sessions.length)];
  person.streams = person.streams.filter((stream) => stream.isOpen());
  if (held === undefined || person.streams.length >= 3) return;
  const { state, cookie } = held;
  const browser: Browser = { cookies: new Map([[SESSION_COOKIE, cookie]]) };
  const gateway = anyOf(person);
  const kind = chance.oneIn(2) ? "WebSocket" : "events";
  const from = performance.now();
  const stream = await openStream({ world, gateway, browser, client, state, history: person.history }, kind);
  const span = { from, to: performance.now() };
  const status = stream === undefined ? 401 : 200;
  note(person, `opens ${kind}`, {
    ...{ span, gateway: gateway.number, status, text: "", headers: new Headers(), session: undefined },
  });
  world.ledger.count(`${kind}: ${stream === undefined ? "not opened" : "opened"}`);
  const excused = world.troubles.explain(gateway.number, span.from, span.to);
  if (stream === undefined && excused) return;
  const problem = judgeUse(state, span, gateway.number, stream === undefined ? "out" : "in", world.troubles);
  if (problem !== undefined) wrong(person, `${kind}: ${problem}`);
  if (stream === undefined) return;
  if (span.from > state.used.from) state.used = span;
  person.streams.push(stream);
  if (state.endedBy < Number.POSITIVE_INFINITY) stream.mustEnd(Math.max(state.endedBy, span.to));
}

/** A key takes a session of the last minutes. */
export async function makeKey(person: Person): Promise<void> {
  const held = liveSessions(person).at(-1);
  if (held === undefined || person.keys.length >= 3) return;
  const browser: Browser = { cookies: new Map([[SESSION_COOKIE, held.cookie]]) };
  const request = { method: "POST", client: person.client, browser, json: { expires_in: "1d" } };
  const sent = await send(anyOf(person), "/_runegate/api/me/tokens", request);
  note(person, "makes a key", sent);
  if (sent.status !== 201) {
    judgeWay(person, held, sent, "making a key");
    return;
  }
  const { token, id } = JSON.parse(sent.text) as { token: string; id: string };
  person.world.ledger.count("key made");
  const state = newSession(person.email, sent.span);
  person.keys.push({ state, cookie: token, id, history: person.history });
}

/** Somebody's own business was not done: then their session was over, or something was wrong. */
export function judgeWay(person: Person, held: HeldSession, sent: Sent, what: string): void {
  const answer = answerOf(sent, false);
  if (answer === undefined) {
    unexpected(person, what, sent);
    return;
  }
  const problem = judgeUse(held.state, sent.span, sent.gateway, answer, person.world.troubles);
  if (problem !== undefined) wrong(person, `${what}: ${problem}`);
}

export async function useKey(person: Person): Promise<void> {
  const key = person.keys[person.chance.below(person.keys.length)];
  if (key === undefined) return;
  const headers = { Authorization: `Bearer ${key.cookie}` };
  const sent = await send(anyOf(person), "/whoami", { client: person.client, headers });
  note(person, "uses a key", sent);
  judge(person, key.state, sent, [], false);
}

export async function endKey(person: Person): Promise<void> {
  const held = liveSessions(person).at(-1);
  const key = person.keys.find(({ state }) => state.mayEndFrom === Number.POSITIVE_INFINITY);
  if (held === undefined || key === undefined) return;
  const browser: Browser = { cookies: new Map([[SESSION_COOKIE, held.cookie]]) };
  const request = { method: "DELETE", client: person.client, browser };
  const sent = await send(anyOf(person), `/_runegate/api/me/tokens/${key.id}`, request);
  note(person, "ends a key", sent);
  endHeldKey(key, sent, sent.status === 204);
  if (sent.status === 204) person.world.ledger.count("key ended");
  // It may have been ended by the one before, whose answer did not arrive.
  else if (sent.status !== 404) judgeWay(person, held, sent, "ending a key");
}

export function endHeldKey({ state }: HeldKey, { span }: Sent, certain: boolean): void {
  state.mayEndFrom = Math.min(state.mayEndFrom, span.from);
  if (certain) state.endedBy = Math.min(state.endedBy, span.to);
}
