import frameSource from "../../static/admin.html" with { type: "text" };
import { assetPath } from "../pages/assets.ts";
import { ENGLISH } from "../pages/language.ts";
import { documentOf } from "../pages/pages.ts";
import { ACCOUNT_PATH, adminPath, LOGOUT_PATH } from "../pages/paths.ts";
import { concat, type Html, plain } from "../pages/template.ts";
import type { AdminScreen, AdminVisit } from "./screen.ts";

/** The frame of the admin pages. They are in English alone. */

const frame = plain(frameSource, [
  ...(["screens", "heading", "error", "notice", "content", "admin", "account", "signOut", "script"] as const),
]);
const screenLink = plain(
  '<li><a href="{{href}}"{{#if isCurrent}} aria-current="page"{{/if}}>{{label}}</a></li>\n',
  ["href", "isCurrent", "label"],
);

/** @param shown.screens all there are, in the order of the navigation. */
export function adminPage(
  { arrival, admin, query }: AdminVisit,
  shown: {
    readonly screens: readonly Pick<AdminScreen, "id" | "label">[];
    readonly screen: Pick<AdminScreen, "id" | "label" | "notices">;
    readonly content: Html;
    readonly error?: string | undefined;
  },
): string {
  const { screens, screen, content, error } = shown;
  const look = arrival.lookOf(arrival);
  const done = query.get("done") ?? "";
  const { notices = {} } = screen;
  const document = frame({
    screens: concat(
      screens.map(({ id, label }) =>
        screenLink({ href: adminPath(id), label, isCurrent: id === screen.id ? "yes" : "" }),
      ),
    ),
    heading: screen.label,
    error,
    notice: error === undefined && Object.hasOwn(notices, done) ? notices[done] : undefined,
    content,
    script: assetPath("admin.js"),
    ...{ admin, account: ACCOUNT_PATH, signOut: LOGOUT_PATH },
  });
  const styles = [...look.styles, assetPath("admin.css")];
  return documentOf({ ...look, language: ENGLISH, back: undefined, styles }, screen.label, document, {
    wide: true,
  });
}
