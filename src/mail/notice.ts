import noticeHtml from "../../static/notice-mail.html" with { type: "text" };
import { inUtc, type Said, said, say } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { template, toText } from "../pages/template.ts";
import type { MailContent } from "./mailer.ts";
import { frameOf } from "./message.ts";

/** Word to somebody about something that was done with their address. */
export type Notice = {
  readonly subject: Said;
  readonly heading: Said;
  readonly opening: Said;
  /** When it was, milliseconds since the Unix epoch. */
  readonly at: number;
  /** Network and browser, in words that nobody outside has chosen; undefined where nobody came. */
  readonly where?: string;
  readonly closing: Said;
  readonly link?: { readonly url: string; readonly label: Said };
};

const html = template(noticeHtml, [
  ...(["logo", "accent", "accentDark"] as const),
  ...([
    "tag",
    "direction",
    "subject",
    "heading",
    "opening",
    "when",
    "where",
    "closing",
    "url",
    "label",
  ] as const),
]);

export function renderNotice(look: Look, notice: Notice): MailContent {
  const { language } = look;
  const { link } = notice;
  const when = inUtc(language, notice.at);
  const words = (text: Said) => say(language, text);
  const shown = {
    subject: words(notice.subject),
    heading: words(notice.heading),
    opening: words(notice.opening),
    when: words(said("notice.when", { when })),
    where: notice.where === undefined ? "" : words(said("notice.where", { where: notice.where })),
    closing: words(notice.closing),
  };
  const paragraphs = [
    ...[shown.opening, `    ${shown.when}\n    ${shown.where}`.trimEnd(), shown.closing],
    ...(link === undefined ? [] : [link.url]),
  ];
  return {
    subject: shown.subject,
    text: `${paragraphs.join("\n\n")}\n`,
    html: toText(
      html(language, {
        ...shown,
        ...frameOf(look),
        ...{ url: link?.url, label: link && words(link.label) },
      }),
    ),
  };
}
