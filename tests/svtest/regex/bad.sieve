require ["regex", "comparator-i;ascii-numeric"];

if header :regex "a" "(" { stop; }
if header :regex "a" "[a" { stop; }
if header :regex "a" ["fine", "a{2,1}"] { stop; }
if header :regex :comparator "i;ascii-numeric" "a" "1" { stop; }
