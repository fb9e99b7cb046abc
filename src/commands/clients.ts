import { loadAccess } from "../config/configuration.ts";
import { EXIT } from "../exit.ts";
import { nearest } from "../option/nearest.ts";
import { formatDuration } from "../option/values.ts";
import type { Io } from "../process/io.ts";
import { type Client, clientTitle } from "../provider/client.ts";
import { APPLICATION_NAMES, settingsFor, settingsIn } from "./client-settings.ts";
import { type Command, failed, type Outcome, UsageError } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { table } from "./table.ts";

const FLAGS = { for: { type: "string" }, compromised: { type: "boolean" } } as const;

/** `runegate clients`: the applications that sign people in with Runegate, and what to type into them. */
export const clients: Command<typeof FLAGS> = {
  name: "clients",
  summary: "list OpenID clients, say what to type into one, or rotate keys",
  help: `Usage: runegate clients [list]
       runegate clients check ID [--for APPLICATION]
       runegate clients rotate-keys [--compromised]

  list        the clients of clients.toml (the default)
  check ID    whether one is set up right, and what to type into the other side:
              ${APPLICATION_NAMES.slice(0, 4).join(", ")},
              ${APPLICATION_NAMES.slice(4).join(", ")} or any. By default
              which one it is is guessed from its id and title

  rotate-keys makes new keys to sign tokens with, before their time. They are
              published at once, and sign two days later, when every client
              knows them. Nobody notices

  --compromised    somebody may have the keys (the store and the session key):
                   they are gone at once, tokens signed with them are refused,
                   and the new ones sign from now on. Clients get new tokens
                   by their refresh tokens. Do "runegate secrets rotate" first,
                   or the new keys are sealed with what is known already

list and check read the files as they are now, whatever runs. No secret is
printed. rotate-keys: ${REACH_HELP.slice(0, 1).toLowerCase()}${REACH_HELP.slice(1)}

Exit codes: ${EXIT.done} done; ${EXIT.failed} no such client, or not possible; ${EXIT.config} something in the files is wrong.

Example: runegate clients check grafana`,

  readsOptions: true,
  flags: FLAGS,
  words: ["list", "check", "rotate-keys"],
  takes: { least: 0, most: 2, what: "list, check or rotate-keys, and which" },

  async run({ values, words: [verb = "list", id] }, io) {
    if (values.compromised && verb !== "rotate-keys")
      throw new UsageError("--compromised goes with rotate-keys.");
    if (verb === "rotate-keys") {
      if (id !== undefined) throw new UsageError("rotate-keys takes nothing.");
      return rotateKeys(io, values.compromised === true);
    }
    if (verb !== "list" && verb !== "check") throw new UsageError(`there is no "clients ${verb}".`);
    if ((id === undefined) !== (verb === "list"))
      throw new UsageError(verb === "list" ? "list takes nothing." : "check takes the id of a client.");
    const access = loadAccess(io);
    if (id === undefined) {
      io.out(tableOf(access.clients));
      return { data: access.clients.map(described) };
    }
    const client = access.clients.find((one) => one.id === id);
    if (client === undefined) {
      const meant = nearest(
        id,
        access.clients.map((one) => one.id),
      );
      return failed(
        io,
        `There is no client ${id}. ${meant === undefined ? "`runegate clients` lists them." : `Did you mean ${meant}?`}`,
      );
    }
    const application = settingsFor(client, values.for);
    if (application === undefined)
      throw new UsageError(`--for takes ${APPLICATION_NAMES.join(", ")} or any.`);
    const issuer = access.options.baseUrl;
    const lines = settingsIn(application, { issuer, client });
    const warnings = remarksOn(client, application.name, application.callback);
    io.out([`For ${application.name}:`, "", ...lines, ...warnings.map((one) => `\nMind: ${one}`)].join("\n"));
    return { data: { ...described(client), application: application.name, settings: lines, warnings } };
  },
};

function rotateKeys(io: Io, compromised: boolean): Promise<Outcome> {
  return operate(io, async (operator) => {
    const { signs_from: from } = await operator.rotateClientKeys(compromised);
    io.out(
      compromised
        ? "The keys are gone, and new ones sign. Other processes hear of it within seconds; restart clients that keep the old ones."
        : `New keys are published, and sign from ${from}.`,
    );
    return { data: { signs_from: from } };
  });
}

function remarksOn(client: Client, name: string, callback: string): readonly string[] {
  const remarks: string[] = [];
  if (callback !== "" && !client.redirectUris.some((uri) => URL.parse(uri)?.pathname.endsWith(callback)))
    remarks.push(`${name} comes back to an address that ends in ${callback}, and redirect_uris has none.`);
  if (client.secret === undefined && !client.device)
    remarks.push("it has no secret_file, so it must use PKCE.");
  if (client.postLogoutRedirectUris.length === 0)
    remarks.push("without post_logout_redirect_uris, signing out ends on a page of Runegate's.");
  return remarks;
}

function described(client: Client): object {
  return {
    id: client.id,
    title: clientTitle(client),
    public: client.secret === undefined,
    redirect_uris: client.redirectUris,
    consent: client.consent,
    device: client.device,
    token_ttl: formatDuration(client.tokenTtl),
    refresh_ttl: formatDuration(client.refreshTtl),
  };
}

function tableOf(all: readonly Client[]): string {
  if (all.length === 0) return "There are no clients.";
  return table([
    ["ID", "TITLE", "SECRET", "WHO MAY", "CONSENT", "REDIRECT URIS"],
    ...all.map((client) => [
      client.id,
      clientTitle(client),
      client.secret === undefined ? "none" : "yes",
      client.allow === undefined ? "as the route" : "allow",
      client.consent,
      client.redirectUris.join(" "),
    ]),
  ]);
}
