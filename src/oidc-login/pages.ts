import signInSource from "../../static/oidc-sign-in.html" with { type: "text" };
import type { Look } from "../pages/look.ts";
import { concat, type Html, template } from "../pages/template.ts";
import { type Provider, startPath, titleOf } from "./provider.ts";

const signIn = template(signInSource, ["href", "provider"]);

/** On the login page: a link, since a form of ours may lead nowhere else. */
export function signInPart({ language }: Look, providers: readonly Provider[], next: string): Html {
  const query = next === "" ? "" : `?next=${encodeURIComponent(next)}`;
  return concat(
    providers.map((one) => signIn(language, { href: startPath(one) + query, provider: titleOf(one) })),
  );
}
