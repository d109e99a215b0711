require ["fileinto", "imap4flags", "copy", "mailbox"];
# 예산안이 오면
if header :contains "subject" "예산" {
    fileinto :copy :create :flags ["\\Flagged", "$예산"] "INBOX.업무.예산안";
}
if address :is "from" "nobody@example.net" {
    fileinto "없음";
    stop;
}
if not exists "x-priority" {
    addflag "\\Seen";
}
