import { domainOf } from "../identity/address.ts";
import { isPrincipal, type Principal } from "../identity/principal.ts";
import { isAllowed, openBecause, type Question, type Verdict } from "./decision.ts";
import { includes, NOBODY, type People } from "./people.ts";

/** A verdict in one sentence, for whoever asks why. */
export function explain(question: Question, verdict: Verdict): string {
  const { route, who } = question;
  if (verdict.verdict === "challenge") {
    if (verdict.refused) return "What was shown as proof is worth nothing.";
    if (verdict.again)
      return "They signed in, or did something last, too long ago for this route (max_age, idle), and have to sign in again.";
    return "They are not signed in, and nothing makes this open to everybody.";
  }
  if (verdict.verdict === "refuse") {
    switch (verdict.reason) {
      case "maintenance":
        return "It is closed for maintenance, and they are no administrator.";
      case "method":
        return `The route takes ${[...(route.methods ?? [])].join(", ")} only.`;
      case "websocket":
        return "The route takes no WebSockets.";
      case "origin":
        return "The page that opens the WebSocket is not one of the route's origins.";
      case "not_allowed":
        return isPrincipal(who) ? whyNot(question, who) : "";
      case "key_scope":
        return "The key is not for this route, method, path or network.";
      case "read_only":
        return "An administrator who looks as somebody else may change nothing here.";
      case "impersonation_ended":
        return "An administrator's time as somebody else is over.";
      case "invalid_key":
        return "The key is none, or has ended.";
      case "several_keys":
        return "More than one key was shown.";
      case "rate_limited":
        return "There were too many requests.";
    }
  }
  const open = openBecause(question);
  if (open !== undefined) return open;
  const { principal } = verdict;
  if (principal === undefined) return "It is a preflight request, which this route lets through.";
  if (isByGrant(route, principal)) return "It was granted to them (`runegate users` lists by whom).";
  if (route.allow === undefined) return "Everybody who may sign in may use it.";
  return `${whichOf(route.allow, principal)} is in allow.`;
}

/** Whether no list would let them in. */
function isByGrant(route: Question["route"], who: Principal): boolean {
  return who.granted?.has(route.name) === true && !isAllowed(route, { ...who, granted: undefined });
}

function whyNot({ route }: Question, who: Principal): string {
  if (route.proofs?.has(who.proof.kind) === false) return `Nobody gets in here by ${who.proof.kind}.`;
  if (route.deny !== undefined && includes(route.deny, who)) return `${whichOf(route.deny, who)} is in deny.`;
  if (who.unlisted === true) return "No list has them, and nobody has granted it to them.";
  return isAllowed(route, who) ? "" : "Neither they nor a group of theirs is in allow.";
}

/** The entry of a list that somebody is in it by. */
function whichOf(people: People, { subject, groups }: Principal): string {
  if ("service" in subject) return `service:${subject.service}`;
  const { email } = subject;
  const domain = domainOf(email);
  if (people.addresses.has(email)) return email;
  if (people.domains.has(domain)) return `@${domain}`;
  const group = [...groups].find((one) => people.groups.has(one));
  if (group !== undefined) return `group:${group}`;
  return includes({ ...NOBODY, anyone: people.anyone }, { subject, groups }) ? "anyone" : "public";
}
