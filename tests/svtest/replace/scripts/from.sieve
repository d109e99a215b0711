require "replace";
replace :from "no address" "text";
