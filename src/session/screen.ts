import type { AdminScreen } from "../admin/screen.ts";
import type { House } from "../house.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import { ENGLISH } from "../pages/language.ts";
import { clockTime } from "../pages/pages.ts";
import { actForm, bdi, searchForm, tableOf, withNote } from "../pages/tables.ts";
import { concat, type Html } from "../pages/template.ts";
import { SESSION_REVOKED } from "./audit.ts";
import { describeDevice, recognizeDevice } from "./device.ts";
import { type SessionRecord, shortId } from "./record.ts";

/** So many are looked at, whichever the store has first: all of somebody's are found by their address. */
const MOST_SHOWN = 100;

export function sessionScreen({ sessions, auditFirst }: Pick<House, "sessions" | "auditFirst">): AdminScreen {
  /** Undefined for what is no address. */
  function addressIn(text: string): Address | undefined {
    try {
      return parseAddress(text);
    } catch (error) {
      if (error instanceof AddressError) return undefined;
      throw error;
    }
  }

  /** Audits each before any of them is ended. @returns how many were still there. */
  async function end(records: readonly SessionRecord[], admin: Address): Promise<number> {
    let ended = 0;
    for (const { id, email } of records) {
      await auditFirst(SESSION_REVOKED, { subject: email, session: id, actor: admin });
      if (await sessions.end(id)) ended++;
    }
    return ended;
  }

  return {
    id: "sessions",
    label: "Sessions",
    notices: { ended: "Signed out.", all: "Signed out everywhere." },

    async show({ query, found, now }) {
      const wanted = query.get("email")?.trim() ?? "";
      const email = wanted === "" ? undefined : addressIn(wanted);
      const isWrong = wanted !== "" && email === undefined;
      const some = isWrong ? [] : await sessions.list(email, MOST_SHOWN);
      const shown = some.toSorted((a, b) => b.seenAt - a.seenAt);
      const note = isWrong
        ? "That is no address."
        : shown.length === MOST_SHOWN
          ? `${MOST_SHOWN} of more, in no order that counts. Search for an address to see all of somebody's.`
          : undefined;
      const table = tableOf({
        caption: email === undefined ? "Who is signed in" : `Where ${email} is signed in`,
        columns: ["Person", "Browser", "From", "How", "Since", "Last seen", "Sign out"],
        rows: shown.map((one) => rowOf(one, one.id === found.record.id, now)),
        empty: "Nobody is signed in.",
      });
      const field = { name: "email", label: "Whose", value: wanted, hint: "ada@example.org" };
      return concat([searchForm([field], note), table]);
    },

    acts: {
      async end({ admin }, { session = "", email = "" }) {
        const owner = addressIn(email);
        const theirs = owner === undefined ? [] : await sessions.list(owner);
        const named = theirs.filter(({ id }) => shortId(id) === session);
        return (await end(named, admin)) > 0 ? { done: "ended" } : { error: GONE };
      },
      async "end-all"({ admin }, { email = "" }) {
        const owner = addressIn(email);
        const theirs = owner === undefined ? [] : await sessions.list(owner);
        return (await end(theirs, admin)) > 0 ? { done: "all" } : { error: GONE };
      },
    },
  };
}

const GONE = "There is no such session any more.";

function rowOf(
  { id, email, userAgent, ip, method, createdAt, seenAt }: SessionRecord,
  isOwn: boolean,
  now: number,
) {
  const device = describeDevice(ENGLISH, recognizeDevice(userAgent));
  return [
    isOwn ? withNote(bdi(email), "this is you") : bdi(email),
    device,
    bdi(ip),
    method,
    clockTime(ENGLISH, createdAt, now),
    clockTime(ENGLISH, seenAt, now),
    buttonsFor(email, shortId(id), `${device}, ${ip}`),
  ];
}

function buttonsFor(email: string, session: string, where: string): Html {
  return concat([
    actForm({
      ...{ act: "end", fields: { email, session } },
      ...{ label: "Here", name: `Sign out ${email} on ${where}` },
    }),
    actForm({
      ...{ act: "end-all", fields: { email } },
      ...{ label: "Everywhere", name: `Sign out ${email} everywhere, as on ${where}` },
      confirm: `Sign out ${email} in every browser?`,
    }),
  ]);
}
