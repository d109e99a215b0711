require ["fileinto", "mailbox", "include", "extlists", "special-use", "vacation", "fcc", "redirect-dsn"];

include :personal "mine";
include :personal :optional "gone";
include :personal "nowhere";
if address :list "from" [":addrbook:회사", ":addrbook:FAMILY"] {
    fileinto "거래처/청구서";
} elsif address :list "from" ":addrbook:친구" {
    fileinto "INBOX.Sent";
}
fileinto "없는 폴더";
fileinto :create "새 폴더";
fileinto :specialuse "\\Sent" "Gesendet";
fileinto :specialuse "\\Archive" "Archiv";
vacation :fcc "Copies" "Away.";
stop;
keep;
