import chooseSource from "../../static/provider-choose.html" with { type: "text" };
import consentSource from "../../static/provider-consent.html" with { type: "text" };
import deviceSource from "../../static/provider-device.html" with { type: "text" };
import codeSource from "../../static/provider-device-code.html" with { type: "text" };
import doneSource from "../../static/provider-done.html" with { type: "text" };
import signOutSource from "../../static/provider-sign-out.html" with { type: "text" };
import { shownCode } from "../login/code.ts";
import { networkOfClient } from "../net/ip.ts";
import { said, say, type Text } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { clockTime, documentOf } from "../pages/pages.ts";
import { template } from "../pages/template.ts";
import { type Client, clientTitle } from "./client.ts";
import type { Device } from "./records.ts";

/** What people see of the provider: agreeing, letting a program in, signing out. */

const choose = template(chooseSource, ["client", "email", "goOn", "again"]);
const consent = template(consentSource, [
  ...(["client", "email", "profile", "groups", "address", "request", "token"] as const),
]);
const device = template(deviceSource, ["client", "email", "ip", "isNear", "asked", "code"]);
const enter = template(codeSource, ["error"]);
const done = template(doneSource, ["title", "message"]);
const signOut = template(signOutSource, ["email", "client", "back", "state"]);

/** As whom, where an application has them choose. @param shown.goOn as who they are, and `again` as somebody else */
export function choosePage(
  look: Look,
  shown: { readonly client: Client; readonly email: string; readonly goOn: string; readonly again: string },
): string {
  const client = clientTitle(shown.client);
  const content = choose(look.language, { ...shown, client });
  return documentOf(look, said("provider.chooseTitle", { client }), content);
}

export function consentPage(
  look: Look,
  shown: {
    readonly client: Client;
    readonly email: string;
    readonly scope: string;
    readonly request: string;
    readonly token: string;
  },
): string {
  const has = new Set(shown.scope.split(" "));
  const client = clientTitle(shown.client);
  const yes = (scope: string) => (has.has(scope) ? "yes" : undefined);
  const content = consent(look.language, {
    ...{ client, email: shown.email, request: shown.request, token: shown.token },
    ...{ address: yes("email"), profile: yes("profile"), groups: yes("groups") },
  });
  return documentOf(look, said("provider.consentTitle", { client }), content);
}

/** Asks for the code that a program shows. */
export function deviceCodePage(look: Look, error?: Text): string {
  const content = enter(look.language, { error: error && say(look.language, error) });
  return documentOf(look, said("provider.deviceTitle"), content);
}

/** Which program it is, where, and the choice. @param shown.ip of whoever decides */
export function devicePage(
  look: Look,
  shown: {
    readonly client: Client;
    readonly device: Device;
    readonly email: string;
    readonly code: string;
    readonly ip: string;
    readonly now: number;
  },
): string {
  const { ip, askedAt } = shown.device;
  const content = device(look.language, {
    ...{ client: clientTitle(shown.client), email: shown.email, ip, code: shownCode(shown.code) },
    isNear: networkOfClient(ip) === networkOfClient(shown.ip) ? "yes" : undefined,
    asked: clockTime(look.language, askedAt, shown.now),
  });
  return documentOf(look, said("provider.deviceTitle"), content);
}

export function deviceDonePage(look: Look, isLetIn: boolean): string {
  const { language } = look;
  const title = isLetIn ? said("approve.doneTitle") : said("approve.deniedTitle");
  const message = isLetIn ? said("provider.deviceDone") : said("provider.deviceDenied");
  const shown = { title: say(language, title), message: say(language, message) };
  return documentOf(look, title, done(language, shown));
}

/** Whether they mean to sign out, and where they would go then. */
export function endSessionPage(
  look: Look,
  shown: { readonly email: string; readonly client: string; readonly back: string; readonly state: string },
): string {
  return documentOf(look, said("logout.title"), signOut(look.language, shown));
}
