# What people mistype: an unknown extension, command and tag, a missing require, a wrong argument
require ["fileinto", "envelop"];

if header :contain "subject" "견적" { kep; }
if header :contains "제목" "🎉" { vacation "휴가 중"; }
fileinto ["거래처", "견적"];
if size :over "10K" { discard; }
keep "x";
else { stop; }
