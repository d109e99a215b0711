require ["envelope", "fileinto", "subaddress", "environment", "variables"];
if allof (envelope :is "from" "", envelope :detail "to" "한글") {
    set "where" "반송";
} elsif envelope :domain "from" "example.net" {
    set "where" "거래처";
}
if envelope :all "to" "kim+orders@example.kr" { set :upperfirst "who" "kim"; }
fileinto "${where}.${who}";
