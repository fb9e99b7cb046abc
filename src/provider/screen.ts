import type { AdminScreen } from "../admin/screen.ts";
import { formatDuration } from "../option/values.ts";
import { actForm, bdi, statusOf, tableOf, timeOf, withNote } from "../pages/tables.ts";
import { concat } from "../pages/template.ts";
import type { ClientBook } from "./book.ts";
import { type Client, clientTitle } from "./client.ts";

/** The applications that sign people in with us, who uses them, and ending that. */
export function clientScreen(clients: readonly Client[], book: () => Promise<ClientBook>): AdminScreen {
  return {
    id: "clients",
    label: "Clients",
    notices: { revoked: "Their tokens there are dead." },

    async show({ now }) {
      const { people } = await book();
      const used = await Promise.all(clients.map(async ({ id }) => (await people(id)).slice(0, MOST_SHOWN)));
      return concat([
        tableOf({
          caption: "Applications that sign people in with Runegate (clients.toml)",
          columns: ["Client", "Secret", "Asks people", "Tokens", "Refresh"],
          rows: clients.map((client) => [
            withNote(bdi(clientTitle(client)), bdi(client.id)),
            client.secret === undefined ? statusOf("public", "warning") : statusOf("yes", "good"),
            client.consent === "first" ? "once" : "never",
            formatDuration(client.tokenTtl),
            formatDuration(client.refreshTtl),
          ]),
          empty: "There are none.",
        }),
        ...clients.map((client, at) =>
          tableOf({
            caption: `Who uses ${clientTitle(client)}`,
            columns: ["Person", "Signed in there", "Sessions", "What to do"],
            rows: (used[at] ?? []).map((one) => [
              bdi(one.email),
              timeOf(one.at, now),
              `${one.sessions}`,
              actForm({
                ...{ act: "revoke", fields: { client: client.id, email: one.email } },
                ...{ label: "Revoke", name: `Revoke ${clientTitle(client)} of ${one.email}` },
              }),
            ]),
            empty: "Nobody.",
          }),
        ),
      ]);
    },

    acts: {
      async revoke({ admin }, { client = "", email = "" }) {
        const done = await (await book()).revoke(client, email, admin);
        return done ? { done: "revoked" } : { error: "They do not use it any more." };
      },
    },
  };
}

const MOST_SHOWN = 200;
