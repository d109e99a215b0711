require "duplicate";
if duplicate :seconds 4000000000 { discard; }
