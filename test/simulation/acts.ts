import { ask, askTooOften, tryTooOften } from "./asking.ts";
import { endByAdministrator, endOwn, letIn, logOut, shutOut } from "./ending.ts";
import { RULES } from "./model.ts";
import { createPerson, type Person } from "./person.ts";
import {
  clickElsewhere,
  openAgain,
  openLink,
  openTwice,
  prefetch,
  spent,
  typeCode,
  typeWrongCode,
  unspent,
} from "./redeeming.ts";
import { endKey, forge, makeKey, open, useEverywhere, useKey, useLeft, useSession } from "./using.ts";
import type { World } from "./world.ts";

/** What there is to do, how often it is done, and when it can be. */
type Act = {
  readonly name: string;
  readonly weight: number;
  readonly can: (person: Person) => boolean;
  readonly do: (person: Person) => Promise<void>;
};

const always = () => true;
const hasSession = ({ sessions }: Person) => sessions.length > 0;
/** None is on its way, and another may be asked for. */
const mayAsk = (person: Person) =>
  !hasLink(person) && (person.mails.at(-1)?.span.from ?? 0) < performance.now() - RULES.cooldown;
const hasLink = (person: Person) => unspent(person).length > 0;

export const ACTS: readonly Act[] = [
  { name: "request with a session", weight: 60, can: hasSession, do: useSession },
  { name: "request at all gateways at once", weight: 8, can: hasSession, do: useEverywhere },
  { name: "request with an old session", weight: 8, can: ({ world }) => world.left.length > 0, do: useLeft },
  { name: "forged session", weight: 4, can: always, do: forge },
  { name: "stream opened", weight: 4, can: hasSession, do: open },
  { name: "ask for a link", weight: 4, can: mayAsk, do: ask },
  { name: "ask once more", weight: 1, can: always, do: ask },
  { name: "ask too often at once", weight: 0.2, can: always, do: askTooOften },
  { name: "try too often at once", weight: 0.3, can: always, do: tryTooOften },
  { name: "open the link", weight: 8, can: hasLink, do: openLink },
  { name: "click in another browser", weight: 6, can: hasLink, do: clickElsewhere },
  { name: "prefetch", weight: 4, can: hasLink, do: prefetch },
  { name: "type the code", weight: 6, can: hasLink, do: typeCode },
  { name: "type a wrong code", weight: 3, can: hasLink, do: typeWrongCode },
  { name: "twice at once", weight: 8, can: hasLink, do: openTwice },
  { name: "a used link", weight: 4, can: (person) => spent(person).length > 0, do: openAgain },
  { name: "log out", weight: 1.5, can: hasSession, do: logOut },
  { name: "end one's own sessions", weight: 0.8, can: hasSession, do: endOwn },
  { name: "an administrator ends sessions", weight: 0.8, can: hasSession, do: endByAdministrator },
  { name: "make a key", weight: 1, can: hasSession, do: makeKey },
  { name: "request with a key", weight: 8, can: ({ keys }) => keys.length > 0, do: useKey },
  { name: "end a key", weight: 0.8, can: ({ keys }) => keys.length > 0, do: endKey },
];

/** Somebody comes, does so many things, and leaves. */
export async function live(world: World, seed: number, number: number, over: () => boolean): Promise<void> {
  const person = createPerson(world, seed, number);
  const { chance, kind } = person;
  if (kind === "guest") {
    if (!(await letIn(person))) return;
    // Every gateway knows by then.
    await Bun.sleep(RULES.endsWithin);
  }
  const stay = 50 + chance.below(60);
  const shutOutAfter = kind === "guest" ? stay - 15 : Number.POSITIVE_INFINITY;
  for (let n = 0; n < stay && !person.gone && !over(); n++) {
    if (n === shutOutAfter) await shutOut(person);
    // Whoever can only wait does nothing much meanwhile.
    if (!hasSession(person) && !hasLink(person) && !mayAsk(person)) await Bun.sleep(400);
    const act = draw(person);
    await act.do(person);
    world.ledger.act();
    world.ledger.count(`act: ${act.name}`);
  }
  leave(person);
}

function draw(person: Person): Act {
  const possible = ACTS.filter(({ can }) => can(person));
  let at =
    (person.chance.below(1_000_000) / 1_000_000) * possible.reduce((sum, { weight }) => sum + weight, 0);
  const drawn = possible.find(({ weight }) => {
    at -= weight;
    return at < 0;
  });
  return drawn ?? (possible[0] as Act);
}

const MOST_LEFT = 600;

function leave(person: Person): void {
  const { world } = person;
  world.left.push(...person.sessions);
  world.left.splice(0, world.left.length - MOST_LEFT);
  // What ends is still looked at; the others go.
  for (const stream of person.streams) if (stream.state.endedBy === Number.POSITIVE_INFINITY) stream.close();
}
