import type { AdminDone, AdminScreen } from "../admin/screen.ts";
import type { House } from "../house.ts";
import { aboutMail, MAIL_GIVEN_UP, MAIL_RETRIED } from "../mail/audit.ts";
import type { OutboxEntry } from "../mail/waiting.ts";
import { actForm, bdi, tableOf, timeOf } from "../pages/tables.ts";
import { concat, plain, type Value } from "../pages/template.ts";

/** More are counted, not shown. */
const MOST_SHOWN = 100;

const hint = plain('<p class="hint">{{text}}</p>\n', ["text"]);

/** Mail that waits to be sent: why it does, sending it now, giving it up. What it says is shown to nobody: it signs in. */
export function mailScreen({ outbox, auditFirst }: Pick<House, "outbox" | "auditFirst">): AdminScreen {
  /** The one with this id, if it waits still. */
  const waitingOne = async (id: string) => (await outbox.waiting()).find((entry) => entry.id === id);

  return {
    id: "mail",
    label: "Mail",
    notices: { retried: "It is sent again now.", dropped: "It will not be sent." },

    async show({ now }) {
      // Whoever looks wants to know what is wrong: what has failed comes first, and most often failed before all.
      const all = (await outbox.waiting()).sort((a, b) => b.attempts - a.attempts);
      const table = tableOf({
        caption: "Waiting to be sent",
        columns: ["To", "Queued", "Tries", "Last error", "Next try", "What to do"],
        rows: all.slice(0, MOST_SHOWN).map((entry) => rowOf(entry, now)),
        empty: "No mail waits to be sent.",
      });
      if (all.length <= MOST_SHOWN) return table;
      return concat([table, hint({ text: `${all.length - MOST_SHOWN} more wait.` })]);
    },

    acts: {
      async retry({ admin }, { id = "" }): Promise<AdminDone> {
        const entry = await waitingOne(id);
        if (entry === undefined) return { error: GONE };
        await auditFirst(MAIL_RETRIED, { ...aboutMail(entry), actor: admin });
        const retried = await outbox.retry(entry.id);
        if (retried === "busy") return { error: "It is being sent at this moment." };
        return retried === "gone" ? { error: GONE } : { done: "retried" };
      },
      async drop({ admin }, { id = "" }): Promise<AdminDone> {
        const entry = await waitingOne(id);
        if (entry === undefined) return { error: GONE };
        await auditFirst(MAIL_GIVEN_UP, { ...aboutMail(entry), reason: "deleted", actor: admin });
        return (await outbox.drop(entry.id)) ? { done: "dropped" } : { error: GONE };
      },
    },
  };
}

const GONE = "No such mail waits any more: it was sent, or given up.";

function rowOf({ id, to, queuedAt, attempts, lastError, nextAttemptAt }: OutboxEntry, now: number): Value[] {
  return [
    bdi(to),
    timeOf(queuedAt, now),
    `${attempts}`,
    lastError === undefined ? "none yet" : bdi(lastError),
    timeOf(nextAttemptAt, now),
    concat([
      actForm({
        ...{ act: "retry", fields: { id } },
        ...{ label: "Send now", name: `Send the mail to ${to} now` },
      }),
      actForm({
        ...{ act: "drop", fields: { id } },
        ...{ label: "Drop", name: `Drop the mail to ${to}` },
      }),
    ]),
  ];
}
