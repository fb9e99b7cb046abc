import { release } from "./asking.ts";
import { type Answer, afterRedemption, judgeAllowed, judgeLimited, judgeRedemption, RULES } from "./model.ts";
import {
  anyOf,
  type HeldTicket,
  mayEnd,
  move,
  note,
  type Person,
  signedIn,
  unexpected,
  wrong,
} from "./person.ts";
import { answerOf, type Browser, SESSION_COOKIE, type Sent, send } from "./visitor.ts";

/** What people, and programs that look into their mail, do with a link and its code. */

type Try = Sent & {
  readonly answer: Answer | "limited";
  readonly browser: Browser;
  readonly before: string | undefined;
};

export const unspent = ({ tickets }: Person) => tickets.filter(({ spent }) => spent === "no");
export const spent = ({ tickets }: Person) => tickets.filter((ticket) => ticket.spent === "yes");

type Hints = Record<string, string>;

const pick = <T>(person: Person, from: readonly T[]) => from[person.chance.below(from.length)];
const otherThan = (person: Person, { browser }: HeldTicket) =>
  person.browsers[0] === browser ? person.browsers[1] : person.browsers[0];

/** In the browser that asked: it is enough to open it. */
export async function openLink(person: Person): Promise<void> {
  const ticket = pick(person, unspent(person));
  if (ticket !== undefined) await finish(person, ticket, [await byLink(person, ticket, "opens the link")]);
}

/** In another browser it takes a click. */
export async function clickElsewhere(person: Person): Promise<void> {
  const ticket = pick(person, unspent(person));
  if (ticket === undefined) return;
  const browser = otherThan(person, ticket);
  await look(person, ticket, browser, {});
  await finish(person, ticket, [await byButton(person, ticket, browser)]);
}

/** What opens links without anybody having decided on it. */
export async function prefetch(person: Person): Promise<void> {
  const ticket = pick(person, unspent(person));
  if (ticket === undefined) return;
  const hints: [Hints, ...Hints[]] = [
    { "Sec-Purpose": "prefetch" },
    { Purpose: "prefetch" },
    { "Sec-Fetch-Mode": "no-cors" },
  ];
  await look(person, ticket, ticket.browser, person.chance.pick(hints));
}

export async function typeCode(person: Person): Promise<void> {
  const ticket = pick(person, unspent(person));
  // A cookie of a later login is in its place.
  if (ticket === undefined || ticket !== person.tickets.findLast(({ browser }) => browser === ticket.browser))
    return;
  await finish(person, ticket, [await byCode(person, ticket, ticket.browser, ticket.code)]);
}

/** Neither the right code in another browser nor a wrong one in the right browser. */
export async function typeWrongCode(person: Person): Promise<void> {
  const ticket = pick(person, unspent(person));
  if (ticket === undefined) return;
  const elsewhere = person.chance.oneIn(2);
  const browser = elsewhere ? { cookies: new Map<string, string>() } : ticket.browser;
  const wrongOne = ticket.code.replace(/\d/, (digit) => String((Number(digit) + 1) % 10));
  const tried = await byCode(person, ticket, browser, elsewhere ? ticket.code : wrongOne);
  if (tried.session !== undefined) wrong(person, "let in by a wrong code, or in a wrong browser");
  count(person, tried);
  excuse(person, tried, "a wrong code");
}

/** Twice at the same moment, on two gateways. */
export async function openTwice(person: Person): Promise<void> {
  const ticket = pick(person, unspent(person));
  if (ticket === undefined) return;
  const ways = person.chance.oneIn(2)
    ? [byLink(person, ticket, "opens the link"), byLink(person, ticket, "opens the link too")]
    : [byLink(person, ticket, "opens the link"), byButton(person, ticket, otherThan(person, ticket))];
  await finish(person, ticket, await Promise.all(ways));
}

export async function openAgain(person: Person): Promise<void> {
  const ticket = pick(person, spent(person));
  if (ticket === undefined) return;
  const browser = { cookies: new Map(ticket.browser.cookies) };
  browser.cookies.delete(SESSION_COOKIE);
  const again = person.chance.oneIn(2)
    ? byLink(person, ticket, "opens a used link", browser)
    : byButton(person, ticket, browser);
  await finish(person, ticket, [await again]);
}

async function attempt(
  person: Person,
  browser: Browser,
  what: string,
  path: string,
  request: { readonly method?: string; readonly json?: object },
): Promise<Try> {
  const before = browser.cookies.get(SESSION_COOKIE);
  // Two at once in one browser: each takes the cookies that it has now.
  const copy = { cookies: new Map(browser.cookies) };
  mayEnd(person.sessions.filter(({ cookie }) => cookie === before));
  const sent = await send(anyOf(person), path, { client: person.client, browser: copy, ...request });
  note(person, what, sent);
  const answer = sent.status === 429 ? "limited" : answerOf(sent, sent.session !== undefined);
  if (answer === undefined) unexpected(person, what, sent);
  return { ...sent, answer: answer ?? "none", browser, before };
}

const byLink = (person: Person, { token, browser }: HeldTicket, what: string, shown = browser) =>
  attempt(person, shown, what, `/_runegate/auth?token=${token}`, {});

const byButton = (person: Person, { token }: HeldTicket, browser: Browser) =>
  attempt(person, browser, "clicks the button", "/_runegate/auth", { method: "POST", json: { token } });

const byCode = (person: Person, _: HeldTicket, browser: Browser, code: string) =>
  attempt(person, browser, "types a code", "/_runegate/auth", { method: "POST", json: { code } });

/** Opens the link where that must neither sign in nor use it up. */
async function look(person: Person, ticket: HeldTicket, browser: Browser, headers: Record<string, string>) {
  const copy = { cookies: new Map(browser.cookies) };
  const path = `/_runegate/auth?token=${ticket.token}`;
  const sent = await send(anyOf(person), path, { client: person.client, browser: copy, headers });
  note(person, "looks at the link", sent);
  if (sent.session !== undefined) wrong(person, "a look at a link signed in");
  // Those that are deliberate are counted.
  if (Object.keys(headers).length === 0) count(person, sent);
  excuse(person, sent, "a look at a link");
}

function excuse(person: Person, sent: Sent, what: string): void {
  const { status, gateway, span } = sent;
  if (status !== 0 && status !== 503) return;
  if (!person.world.troubles.explain(gateway, span.from, span.to)) unexpected(person, what, sent);
}

function count(person: Person, { status, span, gateway }: Sent): void {
  const { attempts, world } = person;
  // It may have been sent twice, and counted the first time too.
  if (world.troubles.killedDuring(gateway, span)) attempts.push({ span, counted: "perhaps" });
  if (status === 0 || status === 503) {
    attempts.push({ span, counted: "perhaps" });
    return;
  }
  const [most, window] = [RULES.attemptsPerWindow, RULES.window];
  const problem =
    status === 429
      ? judgeLimited(attempts, span, most, window)
      : judgeAllowed(attempts, span, most, window, world.troubles);
  if (problem !== undefined) wrong(person, `attempt ${problem}`);
  if (status !== 429) attempts.push({ span, counted: "yes" });
}

async function finish(person: Person, ticket: HeldTicket, tries: readonly Try[]): Promise<void> {
  const { world } = person;
  ticket.shutOutBy = Math.min(ticket.shutOutBy, person.shutOutBy);
  for (const one of [...tries].sort((a, b) => Number(a.status === 429) - Number(b.status === 429))) {
    count(person, one);
    world.ledger.count(`redemption: ${one.answer}`);
  }
  const problem = judgeRedemption(ticket, tries, world.troubles);
  if (problem !== undefined) wrong(person, problem);
  afterRedemption(ticket, tries, world.troubles);
  for (const one of tries) {
    const { span, gateway, session, browser, before } = one;
    if (session === undefined) {
      if (one.answer !== "limited" && one.answer !== "out") release(person, span, false);
      continue;
    }
    signedIn(person, browser, session, one, before);
    release(person, span, !world.troubles.explain(gateway, span.from, span.to));
  }
  if (tries.some(({ answer }) => answer === "limited")) move(person);
}
