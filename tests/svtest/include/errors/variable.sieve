require ["include", "variables"];
set "n" "step";
include "${n}";
