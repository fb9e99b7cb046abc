/**
 * The HTML part of the login mail where `email.toml` has no `html_template`.
 *
 * Mail clients read little CSS: the layout is one table, the styles are inline, and a style sheet only adds the dark
 * colors for clients that know `prefers-color-scheme`. No image and no font is loaded from anywhere.
 */
export const LOGIN_HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>Your sign-in link</title>
<style>
@media (prefers-color-scheme: dark) {
  .page { background-color: #14171c !important; }
  .card { background-color: #1f242c !important; border-color: #343b46 !important; }
  .text { color: #e8eaed !important; }
  .quiet { color: #a3abb8 !important; }
  .link { color: #8ab4ff !important; }
  .code { background-color: #14171c !important; border-color: #343b46 !important; color: #ffffff !important; }
}
</style>
</head>
<body class="page" style="margin:0;padding:0;background-color:#f3f4f6;">
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" border="0" style="background-color:#f3f4f6;">
<tr><td align="center" style="padding:32px 16px;">
<table role="presentation" class="card" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:520px;background-color:#ffffff;border:1px solid #dfe2e7;border-radius:12px;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;">
<tr><td style="padding:32px;">
<h1 class="text" style="margin:0 0 12px;font-size:22px;line-height:28px;font-weight:600;color:#16191d;">Your sign-in link</h1>
<p class="text" style="margin:0 0 24px;font-size:16px;line-height:24px;color:#16191d;">This button signs you in as <strong>{email}</strong>.</p>
<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:0 0 24px;">
<tr><td bgcolor="#1a5fd0" style="background-color:#1a5fd0;border-radius:8px;">
<a href="{login_url}" style="display:inline-block;padding:12px 28px;font-size:16px;line-height:24px;font-weight:600;color:#ffffff;text-decoration:none;">Sign in</a>
</td></tr>
</table>
<p class="text" style="margin:0 0 10px;font-size:16px;line-height:24px;color:#16191d;">Reading this on another device? Type this code on the page where you asked for the link:</p>
<p class="code" style="margin:0 0 28px;padding:14px 8px;background-color:#f3f4f6;border:1px solid #dfe2e7;border-radius:8px;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:28px;line-height:36px;font-weight:600;letter-spacing:3px;text-align:center;color:#16191d;">{code}</p>
<p class="quiet" style="margin:0 0 8px;font-size:14px;line-height:20px;color:#5b6470;">Link and code work once, within {expiry_minutes} minutes.</p>
<p class="quiet" style="margin:0 0 24px;font-size:14px;line-height:20px;color:#5b6470;">They were asked for from {requested_from}. If that was not you, ignore this mail: nobody gets in without the link or the code, so pass neither of them on.</p>
<p class="quiet" style="margin:0 0 4px;font-size:14px;line-height:20px;color:#5b6470;">If the button does not work, copy this address into your browser:</p>
<p style="margin:0;font-size:13px;line-height:19px;word-break:break-all;"><a class="link" href="{login_url}" style="color:#1a5fd0;">{login_url}</a></p>
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
`;
