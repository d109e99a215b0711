require ["fileinto", "mailbox"];
if header :contains "subject" "청구서" {
    fileinto "거래처/청구서";
    stop;
    keep;
}
if header :contains "subject" "주문" {
    fileinto "없는 폴더";
}
fileinto :create "새 폴더";
