import type { Command, CommandList } from "./command.ts";

/** The commands in the order `runegate help` shows them. Each is loaded only when it is needed, so that small ones are quick. */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ["serve", async () => (await import("./serve.ts")).serve],
  ["demo", async () => (await import("./demo.ts")).demo],
  ["setup", async () => (await import("./setup.ts")).setup],
  ["check", async () => (await import("./check.ts")).check],
  ["config", async () => (await import("./config.ts")).config],
  ["health", async () => (await import("./health.ts")).health],
  ["status", async () => (await import("./status.ts")).status],
  ["link", async () => (await import("./link.ts")).link],
  ["token", async () => (await import("./token.ts")).token],
  ["send-email", async () => (await import("./send-email.ts")).sendEmail],
  ["mail", async () => (await import("./mail.ts")).mail],
  ["sessions", async () => (await import("./sessions.ts")).sessions],
  ["routes", async () => (await import("./routes.ts")).routes],
  ["keys", async () => (await import("./keys.ts")).keys],
  ["tunnels", async () => (await import("./tunnels.ts")).tunnels],
  ["connect", async () => (await import("./connect.ts")).connect],
  ["audit", async () => (await import("./audit.ts")).audit],
  ["hooks", async () => (await import("./hooks.ts")).hooks],
  ["clients", async () => (await import("./clients.ts")).clients],
  ["users", async () => (await import("./users.ts")).users],
  ["requests", async () => (await import("./requests.ts")).requests],
  ["certificates", async () => (await import("./certificates.ts")).certificates],
  ["store", async () => (await import("./store.ts")).store],
  ["backup", async () => (await import("./backup.ts")).backup],
  ["secrets", async () => (await import("./secrets.ts")).secrets],
  ["upgrade", async () => (await import("./upgrade.ts")).upgrade],
  ["target", async () => (await import("./target.ts")).target],
  ["completion", async () => (await import("./completion.ts")).createCompletion(ALL)],
  ["version", async () => (await import("./version.ts")).version],
  ["help", async () => (await import("./help.ts")).createHelp(ALL)],
]);

export const COMMAND_NAMES: readonly string[] = [...COMMANDS.keys()];
const ALL: CommandList = { names: COMMAND_NAMES, find: findCommand };

export async function findCommand(name: string): Promise<Command | undefined> {
  // What `serve` starts for itself, and what the unit calls, is not for people, and so not in the list.
  if (name === "worker") return (await import("./worker.ts")).worker;
  if (name === "stop") return (await import("./stop.ts")).stop;
  return COMMANDS.get(name)?.();
}
