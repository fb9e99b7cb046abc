import type { AdminScreen } from "../admin/screen.ts";
import type { House } from "../house.ts";
import { type Address, addressIn } from "../identity/address.ts";
import { ENGLISH } from "../pages/language.ts";
import { adminPath } from "../pages/paths.ts";
import {
  actForm,
  bdi,
  hint,
  linkTo,
  pageLinks,
  searchForm,
  tableOf,
  timeOf,
  withNote,
} from "../pages/tables.ts";
import { concat, type Html, type Value } from "../pages/template.ts";
import { describeDevice, recognizeDevice } from "./device.ts";
import { type SessionRecord, shortId } from "./record.ts";
import { revoke, revokeAll } from "./revoke.ts";

const PAGE = 50;

/** Who is signed in where; one of them ended, or all of somebody's. */
export function sessionScreen(house: Pick<House, "sessions" | "audit" | "auditFirst">): AdminScreen {
  const { sessions } = house;

  /** Of the search, or everybody's. @returns undefined for what is neither an address nor a cursor. */
  async function wanted(email: string, cursor: string | null) {
    if (email === "") return sessions.part(PAGE, cursor ?? undefined);
    const owner = addressIn(email);
    // Of one person: those used last first.
    const all = owner && (await sessions.list(owner)).sort((a, b) => b.seenAt - a.seenAt);
    return all && { items: all.slice(0, MOST_OF_ONE), next: undefined };
  }

  return {
    id: "sessions",
    label: "Sessions",
    notices: { ended: "That browser is signed out.", all: "Signed out in every browser." },

    async show({ query, found, now }) {
      const email = query.get("email")?.trim() ?? "";
      const [part, count] = await Promise.all([wanted(email, query.get("cursor")), sessions.count()]);
      const { items, next } = part ?? { items: [], next: undefined };
      return concat([
        searchForm(
          [{ name: "email", label: "Whose", value: email, hint: "ada@example.org" }],
          part === undefined ? "That is no address." : undefined,
        ),
        email === "" ? hint(`${count} in all, those that may last longest first.`) : everythingOf(email),
        tableOf({
          caption: email === "" ? "Who is signed in" : `Where ${email} is signed in`,
          columns: ["Person", "Browser", "From", "How", "Since", "Last seen", "Sign out"],
          rows: items.map((one) => rowOf(one, one.id === found.record.id, now)),
          empty: email === "" ? "Nobody is signed in." : "Not signed in anywhere.",
          live: "sessions",
        }),
        pageLinks(query, next),
      ]);
    },

    acts: {
      async end({ admin }, { session = "", email = "" }) {
        const named = (await listOf(email)).filter(({ id }) => shortId(id) === session);
        return (await revoke(house, named, () => admin)) > 0 ? { done: "ended" } : { error: GONE };
      },
      async "end-all"({ admin }, { email = "" }) {
        const owner = addressIn(email);
        const ended = owner === undefined ? 0 : await revokeAll(house, owner, () => admin);
        return ended > 0 ? { done: "all" } : { error: GONE };
      },
    },
  };

  async function listOf(email: string): Promise<readonly SessionRecord[]> {
    const owner: Address | undefined = addressIn(email);
    return owner === undefined ? [] : sessions.list(owner);
  }
}

/** Who has more has a program that signs in again and again: all of them are ended together. */
const MOST_OF_ONE = 500;

const GONE = "There is no such session any more.";

function everythingOf(email: string): Html {
  return hint(linkTo(`${adminPath("activity")}?email=${encodeURIComponent(email)}`, "What they did"));
}

function rowOf(
  { id, email, userAgent, ip, method, createdAt, seenAt }: SessionRecord,
  isOwn: boolean,
  now: number,
): Value[] {
  const device = describeDevice(ENGLISH, recognizeDevice(userAgent));
  const person = linkTo(`?email=${encodeURIComponent(email)}`, bdi(email));
  return [
    isOwn ? withNote(person, "this is you") : person,
    device,
    bdi(ip),
    METHODS[method],
    timeOf(createdAt, now),
    timeOf(seenAt, now),
    buttonsFor(email, shortId(id), `${device}, ${ip}`),
  ];
}

const METHODS: Readonly<Record<SessionRecord["method"], string>> = {
  link: "link in a mail",
  code: "code in a mail",
  passkey: "passkey",
  oidc: "OpenID provider",
  approval: "approved by a phone",
};

function buttonsFor(email: string, session: string, where: string): Html {
  return concat([
    actForm({
      ...{ act: "end", fields: { email, session } },
      ...{ label: "Here", name: `Sign out ${email} here: ${where}` },
    }),
    actForm({
      ...{ act: "end-all", fields: { email } },
      ...{ label: "Everywhere", name: `Everywhere: sign out ${email} in every browser, as on ${where}` },
      confirm: `Sign out ${email} in every browser?`,
    }),
  ]);
}
