require "regex";
require "variables";

set "a" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
if string :regex "${a}${a}${a}!" "^((a+)+)+$" {
    discard;
}
