if header :comparator "i;klingon" "x" "1" { keep; }
