require "variables";

set "a" "b" "c";
set "a";
set ["a", "b"] "c";
set "a b" "c";
set "${a}" "c";
set "1" "c";
set :lower :upper "a" "c";
set :unknown "a" "c";
set :upperfirst :lowerfirst "a" "c";
