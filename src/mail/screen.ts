import type { AdminDone, AdminScreen } from "../admin/screen.ts";
import { addressIn } from "../identity/address.ts";
import { adminPath } from "../pages/paths.ts";
import { actForm, bdi, hint, tableOf, timeOf, withNote } from "../pages/tables.ts";
import { concat, plain, type Value } from "../pages/template.ts";
import type { MailVerbs } from "./verbs.ts";
import type { OutboxEntry } from "./waiting.ts";

/** More are counted, not shown. */
const MOST_SHOWN = 100;

const testForm = plain(
  `<form method="post" class="search"><input type="hidden" name="do" value="test">
<div><label for="to">Test mail to</label><input id="to" name="to" type="email" value="{{own}}" required maxlength="254" autocomplete="off"></div>
<button class="small" type="submit">Send a test mail</button>
</form>
`,
  ["own"],
);

const elsewhere = plain(
  '<p class="hint">What was sent or given up is in <a href="{{href}}">Activity</a>: search for the person.</p>\n',
  ["href"],
);

/**
 * Mail that waits to be sent: why it does, sending it now, giving it up; and a test mail. What a mail says is shown to nobody: it
 * signs in.
 */
export function mailScreen(verbs: MailVerbs): AdminScreen {
  return {
    id: "mail",
    label: "Mail",
    notices: {
      retried: "It is tried again, within ten seconds.",
      dropped: "It will not be sent.",
      tested: "The mail server took the test mail. If it does not arrive, look into the spam folder.",
    },

    async show({ now, admin }) {
      // Whoever looks wants to know what is wrong: what has failed comes first, and most often failed before all.
      const all = (await verbs.waiting()).sort((a, b) => b.attempts - a.attempts);
      const more = all.length - MOST_SHOWN;
      return concat([
        tableOf({
          caption: "Waiting to be sent",
          columns: ["To", "What", "Queued", "Last error", "Next try", "Of use until", "What to do"],
          rows: all.slice(0, MOST_SHOWN).map((entry) => rowOf(entry, now)),
          empty: "No mail waits to be sent.",
          live: "mails",
        }),
        elsewhere({ href: adminPath("activity") }),
        ...(more > 0 ? [hint(`${more} more wait.`)] : []),
        testForm({ own: admin }),
      ]);
    },

    acts: {
      async retry({ admin }, { id = "" }): Promise<AdminDone> {
        const retried = await verbs.retry(id, admin);
        return retried === "due" ? { done: "retried" } : { error: ERRORS[retried] };
      },
      async drop({ admin }, { id = "" }): Promise<AdminDone> {
        const dropped = await verbs.drop(id, admin);
        return dropped === "dropped" ? { done: "dropped" } : { error: ERRORS[dropped] };
      },
      async test({ admin }, { to = "" }): Promise<AdminDone> {
        const address = addressIn(to);
        if (address === undefined) return { error: "That is no address." };
        const tested = await verbs.test(address, admin);
        if (tested === undefined) return { error: "Five test mails a minute are enough: wait a little." };
        return tested.sent ? { done: "tested" } : { error: `${tested.reason} ${tested.remedy}` };
      },
    },
  };
}

const ERRORS = {
  busy: "It is being sent at this moment.",
  gone: "No such mail waits any more: it was sent, or given up.",
  several: "That names several mails.",
} as const;

const KINDS: Readonly<Record<string, string>> = {
  login: "link to sign in",
  "new-browser": "told of a new browser",
  "new-passkey": "told of a new passkey",
  "session-ended": "told that a session was ended",
  "key-ends": "told that an API key ends",
  invited: "invitation",
  "access-asked": "told that somebody asks for access",
  "access-granted": "told that they have access",
  "access-refused": "told that they are refused",
  "access-ends": "told that their access ends",
  viewed: "told of an administrator as them",
};

function rowOf(entry: OutboxEntry, now: number): Value[] {
  const { id, to, kind = "", queuedAt, expiresAt, attempts, lastError, nextAttemptAt } = entry;
  return [
    bdi(to),
    (Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined) ?? bdi(kind),
    timeOf(queuedAt, now),
    withNote(
      lastError === undefined ? "none yet" : bdi(lastError),
      attempts === 1 ? "1 try" : `${attempts} tries`,
    ),
    timeOf(nextAttemptAt, now),
    timeOf(expiresAt, now),
    concat([
      actForm({
        ...{ act: "retry", fields: { id } },
        ...{ label: "Send now", name: `Send now: the mail to ${to}` },
      }),
      actForm({
        ...{ act: "drop", fields: { id } },
        ...{ label: "Drop", name: `Drop the mail to ${to}` },
        confirm: `Drop the mail to ${to}? It is not sent then.`,
      }),
    ]),
  ];
}
