import { judgeAllowed, judgeLimited, RULES, type Span } from "./model.ts";
import { anyOf, move, note, type Person, unexpected, wrong } from "./person.ts";
import { type Browser, type Sent, send } from "./visitor.ts";
import { newClient } from "./world.ts";

/** Asking for links, and the limits on it. */

const MAIL_MS = 12_000;

export async function ask(person: Person): Promise<void> {
  const { world, email, kind } = person;
  const browser = person.chance.pick(person.browsers);
  const isExpected = kind !== "stranger" && person.shutOutBy === Number.POSITIVE_INFINITY;
  // There from before it is asked: the mail may be faster than the answer.
  const coming = isExpected ? world.office.next(email, MAIL_MS) : undefined;
  const sent = await post(person, email, browser, person.client);
  note(person, "asks for a link", sent);
  judgeAsk(person, sent);
  if (sent.status !== 200 || coming === undefined) return;
  const mail = await coming;
  if (mail !== undefined) {
    const { token, code } = mail;
    person.tickets.push({
      ...{ email, asked: sent.span, spent: "no", shutOutBy: Number.POSITIVE_INFINITY, token, code, browser },
    });
    if (person.tickets.length > 4) person.tickets.shift();
    return;
  }
  // What was to be sent by a gateway that was killed is sent by another, later.
  person.gone = true;
  const excused = world.gateways.some(({ number }) =>
    world.troubles.explain(number, sent.span.from - RULES.endsWithin, performance.now()),
  );
  if (!excused) wrong(person, `no mail within ${MAIL_MS / 1000} s`);
  else world.ledger.count("mail late in trouble");
}

function post(person: Person, email: string, browser: Browser, client: string): Promise<Sent> {
  return send(anyOf(person), "/_runegate/login", { method: "POST", client, browser, json: { email } });
}

function judgeAsk(person: Person, sent: Sent): void {
  const { world, logins, mails } = person;
  const { span, status, gateway } = sent;
  const of = sent.headers.get("X-RateLimit-Exceeded");
  if (world.troubles.killedDuring(gateway, span)) {
    // It may have been sent twice, and counted the first time too.
    logins.push({ span, counted: "perhaps" });
    mails.push({ span, counted: "perhaps" });
  }
  world.ledger.count(`ask: ${status}${of === null ? "" : ` ${of}`}`);
  if (status === 0 || status === 503) {
    if (!world.troubles.explain(gateway, span.from, span.to)) unexpected(person, "asking", sent);
    logins.push({ span, counted: "perhaps" });
    mails.push({ span, counted: "perhaps" });
    return;
  }
  if (status === 429 && of === "IP") {
    const problem = judgeLimited(logins, span, RULES.loginsPerWindow, RULES.window);
    if (problem !== undefined) wrong(person, `login request ${problem}`);
    move(person);
    return;
  }
  if (status !== 200 && !(status === 429 && of === "Email")) {
    unexpected(person, "asking", sent);
    return;
  }
  const { troubles } = world;
  const perClient = judgeAllowed(logins, span, RULES.loginsPerWindow, RULES.window, troubles);
  if (perClient !== undefined) wrong(person, `login request ${perClient}`);
  logins.push({ span, counted: "yes" });
  const perMailbox =
    status === 200
      ? judgeAllowed(mails, span, 1, RULES.cooldown, troubles)
      : judgeLimited(mails, span, 1, RULES.cooldown);
  if (perMailbox !== undefined) wrong(person, `mail ${perMailbox}`);
  if (status === 200) mails.push({ span, counted: "yes" });
}

/** Whoever proved the mailbox may ask again. */
export function release(person: Person, { from }: Span, certain: boolean): void {
  person.mails = certain
    ? []
    : person.mails.map((hit) => (hit.span.from < from ? { ...hit, counted: "perhaps" as const } : hit));
}

/** More than the limit at once, on all gateways, each for another address. */
export async function askTooOften(person: Person): Promise<void> {
  move(person);
  const client = person.client;
  const many = Array.from({ length: RULES.loginsPerWindow + 3 }, (_, n) => {
    const [name, domain] = person.email.split("@");
    return post(
      person,
      `${name}-${n}-${client.replaceAll(".", "-")}@${domain}`,
      { cookies: new Map() },
      client,
    );
  });
  // Those that were refused last: the others may be why.
  const all = (await Promise.all(many)).sort((a, b) => Number(a.status === 429) - Number(b.status === 429));
  for (const sent of all) {
    note(person, "asks with many others", sent);
    // Each is of a mailbox of its own.
    person.mails = [];
    judgeAsk({ ...person, client }, sent);
  }
  judgeTogether(person, all, RULES.loginsPerWindow, 200, "login requests");
  person.mails = [];
  person.mails.push({ span: { from: all[0]?.span.from ?? 0, to: performance.now() }, counted: "perhaps" });
  move(person);
}

/** Redemptions of what is no link. */
export async function tryTooOften(person: Person): Promise<void> {
  const client = newClient();
  const many = Array.from({ length: RULES.attemptsPerWindow + 4 }, () =>
    send(anyOf(person), "/_runegate/auth", { method: "POST", client, json: { token: "e30.e30.e30" } }),
  );
  const all = await Promise.all(many);
  for (const sent of all) note(person, "tries what is no link", sent);
  for (const sent of all) if (sent.session !== undefined) wrong(person, "let in by what is no link");
  judgeTogether(person, all, RULES.attemptsPerWindow, 401, "attempts");
}

function judgeTogether(
  person: Person,
  all: readonly Sent[],
  most: number,
  passed: number,
  what: string,
): void {
  const { troubles, ledger } = person.world;
  const through = all.filter(({ status }) => status === passed).length;
  ledger.count(`${what} at once: ${through} of ${all.length}`);
  const excused = all.some(({ gateway, span }) => troubles.explain(gateway, span.from, span.to));
  const forgot = all.some(({ span }) => troubles.killedStoreWithin(span.from, span.to - span.from + 1_000));
  if (through > most && !forgot) wrong(person, `${through} ${what} at once were allowed, of ${most}`);
  if (through < most && !excused) wrong(person, `only ${through} ${what} at once were allowed, of ${most}`);
}
